import { describe, expect, it } from 'vitest';
import { memorySource, NpyError, openNpy, openNpz, writeNpy } from '../../src/interop/npy.ts';

const bytes = (base64: string) => memorySource(Buffer.from(base64, 'base64'));
const read = (base64: string) => {
  const matrix = openNpy(bytes(base64));
  return { shape: [matrix.rows, matrix.columns], values: [...matrix.rowsFrom(0, matrix.rows)] };
};

// numpy.save of [[1.5, -2], [3, 4], [5, 6]] (integers rounded half to even, unsigned: absolute and truncated, booleans: != 3), numpy 2.4.
const files: Readonly<Record<string, string>> = {
  '<f8':
    'k05VTVBZAQB2AHsnZGVzY3InOiAnPGY4JywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDMsIDIpLCB9ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoAAAAAAAD4PwAAAAAAAADAAAAAAAAACEAAAAAAAAAQQAAAAAAAABRAAAAAAAAAGEA=',
  '>f8':
    'k05VTVBZAQB2AHsnZGVzY3InOiAnPmY4JywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDMsIDIpLCB9ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAo/+AAAAAAAAMAAAAAAAAAAQAgAAAAAAABAEAAAAAAAAEAUAAAAAAAAQBgAAAAAAAA=',
  '<f4':
    'k05VTVBZAQB2AHsnZGVzY3InOiAnPGY0JywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDMsIDIpLCB9ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoAAMA/AAAAwAAAQEAAAIBAAACgQAAAwEA=',
  '<f2':
    'k05VTVBZAQB2AHsnZGVzY3InOiAnPGYyJywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDMsIDIpLCB9ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoAPgDAAEIARABFAEY=',
  '>i4':
    'k05VTVBZAQB2AHsnZGVzY3InOiAnPmk0JywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDMsIDIpLCB9ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoAAAAC/////gAAAAMAAAAEAAAABQAAAAY=',
  '<i8':
    'k05VTVBZAQB2AHsnZGVzY3InOiAnPGk4JywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDMsIDIpLCB9ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoCAAAAAAAAAP7/////////AwAAAAAAAAAEAAAAAAAAAAUAAAAAAAAABgAAAAAAAAA=',
  '<u2':
    'k05VTVBZAQB2AHsnZGVzY3InOiAnPHUyJywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDMsIDIpLCB9ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoBAAIAAwAEAAUABgA=',
  '|i1':
    'k05VTVBZAQB2AHsnZGVzY3InOiAnfGkxJywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDMsIDIpLCB9ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoC/gMEBQY=',
  '|b1':
    'k05VTVBZAQB2AHsnZGVzY3InOiAnfGIxJywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDMsIDIpLCB9ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoBAQABAQE=',
};
const expected: Readonly<Record<string, readonly number[]>> = {
  '>i4': [2, -2, 3, 4, 5, 6],
  '<i8': [2, -2, 3, 4, 5, 6],
  '|i1': [2, -2, 3, 4, 5, 6],
  '<u2': [1, 2, 3, 4, 5, 6],
  '|b1': [1, 1, 0, 1, 1, 1],
};
// numpy.save(numpy.asfortranarray(…)), numpy.save(numpy.array([0, 1, 2])), numpy.zeros((1, 2, 2)), numpy.array(['a']).
const fortran =
  'k05VTVBZAQB2AHsnZGVzY3InOiAnPGY4JywgJ2ZvcnRyYW5fb3JkZXInOiBUcnVlLCAnc2hhcGUnOiAoMywgMiksIH0gICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoAAAAAAAD4PwAAAAAAAAhAAAAAAAAAFEAAAAAAAAAAwAAAAAAAABBAAAAAAAAAGEA=';
const vector =
  'k05VTVBZAQB2AHsnZGVzY3InOiAnPGk4JywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDMsKSwgfSAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoAAAAAAAAAAAEAAAAAAAAAAgAAAAAAAAA=';
const cube =
  'k05VTVBZAQB2AHsnZGVzY3InOiAnPGY4JywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDEsIDIsIDIpLCB9ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==';
const text =
  'k05VTVBZAQB2AHsnZGVzY3InOiAnPFUxJywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDEsKSwgfSAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAphAAAA';
// numpy.savez(X=…, y=[0, 1, 2]) and numpy.savez_compressed(X=zeros((40, 2)), y=arange(40)).
const archive =
  'UEsDBC0AAAAAAAAAIQAlmZDZ//////////8FABQAWC5ucHkBABAAsAAAAAAAAACwAAAAAAAAAJNOVU1QWQEAdgB7J2Rlc2NyJzogJzxmOCcsICdmb3J0cmFuX29yZGVyJzogRmFsc2UsICdzaGFwZSc6ICgzLCAyKSwgfSAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAKAAAAAAAA+D8AAAAAAAAAwAAAAAAAAAhAAAAAAAAAEEAAAAAAAAAUQAAAAAAAABhAUEsDBC0AAAAAAAAAIQD3QBLq//////////8FABQAeS5ucHkBABAAmAAAAAAAAACYAAAAAAAAAJNOVU1QWQEAdgB7J2Rlc2NyJzogJzxpOCcsICdmb3J0cmFuX29yZGVyJzogRmFsc2UsICdzaGFwZSc6ICgzLCksIH0gICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAKAAAAAAAAAAABAAAAAAAAAAIAAAAAAAAAUEsBAi0DLQAAAAAAAAAhACWZkNmwAAAAsAAAAAUAAAAAAAAAAAAAAIABAAAAAFgubnB5UEsBAi0DLQAAAAAAAAAhAPdAEuqYAAAAmAAAAAUAAAAAAAAAAAAAAIAB5wAAAHkubnB5UEsFBgAAAAACAAIAZgAAALYBAAAAAA==';
const compressed =
  'UEsDBC0AAAAIAAAAIQChvPFR//////////8FABQAWC5ucHkBABAAAAMAAAAAAABOAAAAAAAAAJvsF+obEMnIUMZQrZ6SWpxcpG6loG6TZqGuo6Cell9UUpSYF59flJIKEndLzClOBYoXZyQWpAL5GiYGOgpGmjoKtQrkAi6GUTAKBhAAAFBLAwQtAAAACAAAACEAMsgf8P//////////BQAUAHkubnB5AQAQAMABAAAAAAAAnAAAAAAAAACdzLkKwkAAhOHE+77vcz1XIYWFhYi1nWJjYSXBRBTEyEZsxKfwhY3w+wJO8zFTzHu9XW12uvbQntKy3YOScyEX55k0hDw66q7M695Rlv3dl+bFtb3dPZk32+uj6cQYG+Il/k9MIzr60I8BDGIIwxjBKP4O45jAJKYwjRnMYg7zWMAilrCMFaxiDevYwCa2sI0CO9jFHvZxgEOU+AFQSwECLQMtAAAACAAAACEAobzxUU4AAAAAAwAABQAAAAAAAAAAAAAAgAEAAAAAWC5ucHlQSwECLQMtAAAACAAAACEAMsgf8JwAAADAAQAABQAAAAAAAAAAAAAAgAGFAAAAeS5ucHlQSwUGAAAAAAIAAgBmAAAAWAEAAAAA';

describe('a .npy file of numpy', () => {
  it.each(Object.keys(files))('of the type %s is read', (type) => {
    expect(read(files[type])).toEqual({ shape: [3, 2], values: expected[type] ?? [1.5, -2, 3, 4, 5, 6] });
  });

  it('that is stored by columns is read by rows', () => {
    expect(read(fortran)).toEqual({ shape: [3, 2], values: [1.5, -2, 3, 4, 5, 6] });
    expect([...openNpy(bytes(fortran)).rowsFrom(1, 2)]).toEqual([3, 4, 5, 6]);
  });

  it('of a vector is one column', () => {
    expect(read(vector)).toEqual({ shape: [3, 1], values: [0, 1, 2] });
  });

  it.each([
    ['three dimensions', cube, '3 dimensions'],
    ['text', text, 'not a type of number'],
    ['something else', Buffer.from('PK\x03\x04 and more').toString('base64'), 'not a .npy file'],
    ['an empty file', '', 'not a .npy file'],
    ['a file that ends too early', files['<f8'].slice(0, -12), 'too short'],
    ['a damaged header', `${Buffer.from('\x93NUMPY\x01\x00\xff\xff', 'latin1').toString('base64')}AAAA`, 'damaged'],
  ])('of %s is refused', (_name, base64, message) => {
    expect(() => read(base64)).toThrow(NpyError);
    expect(() => read(base64)).toThrow(message);
  });

  it('that we wrote is read back', () => {
    const values = Float64Array.of(1e300, -0.1, 5e-324, 4);
    const file = writeNpy(values, [2, 2]);
    expect(openNpy(memorySource(file)).rowsFrom(0, 2)).toEqual(values);
  });
});

describe('a .npz file of numpy', () => {
  it('gives its arrays by name', () => {
    const arrays = openNpz(bytes(archive), 1000);
    expect([...arrays.keys()]).toEqual(['X', 'y']);
    expect([...openNpy(arrays.get('X')!).rowsFrom(0, 3)]).toEqual([1.5, -2, 3, 4, 5, 6]);
    expect([...openNpy(arrays.get('y')!).rowsFrom(0, 3)]).toEqual([0, 1, 2]);
  });

  it('that is compressed is unpacked', () => {
    const arrays = openNpz(bytes(compressed), 10_000);
    expect([...openNpy(arrays.get('y')!).rowsFrom(38, 2)]).toEqual([38, 39]);
    expect(openNpy(arrays.get('X')!).rows).toBe(40);
  });

  it('is not unpacked beyond the limit, all arrays together', () => {
    expect(() => openNpz(bytes(compressed), 767)).toThrow('unpacks to more than');
    expect(() => openNpz(bytes(compressed), 1000)).toThrow('unpacks to more than');
  });

  it.each(['', 'AAAA', archive.slice(0, -40), archive.slice(400)])('is refused when it is damaged', (base64) => {
    expect(() => openNpz(bytes(base64), 1000)).toThrow(NpyError);
  });
});
