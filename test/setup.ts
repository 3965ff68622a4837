import { beforeEach, expect } from 'vitest';

// A test that asserts nothing cannot fail, so it must not pass.
beforeEach(() => {
  expect.hasAssertions();
});
