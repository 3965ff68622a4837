import { defaultLimits } from '../src/config.ts';
import { preferredType } from '../src/http/negotiation.ts';
import {
  gradientAuditInput,
  gradientAuditView,
  gradientCheckInput,
  gradientCheckView,
  gradientExamples,
  gradientsInput,
  gradientsView,
  selfTestView,
} from '../src/schemas/gradients.ts';
import { createGradients } from '../src/services/gradients/gradients.ts';
import type { Routes } from './plugin.ts';

const tags = ['gradients'];
const [json, markdown] = ['application/json', 'text/markdown'] as const;

/** The documented answers are what the service answers. */
const documented = createGradients(defaultLimits);
const explainSeed = () => gradientsInput.parse(gradientExamples.explain.seed);
const checkSeed = () => gradientCheckInput.parse(gradientExamples.check.seed);
const auditSeed = () => gradientAuditInput.parse(gradientExamples.audit.seed);
const tested = { activation: 'sigmoid', loss: 'binary_cross_entropy', relative_error: 2.1e-11, kinks: 0, passed: true };

export const gradientRoutes: Routes = async (app, { services }) => {
  app.post(
    '/v1/gradients',
    {
      schema: {
        operationId: 'explainGradients',
        tags,
        summary: 'Explain a backward pass',
        description:
          'Loss, outputs and gradients of one batch in float64, with the intermediate values on request. With `Accept: text/markdown` a worked derivation with the numbers in it.',
        body: gradientsInput,
        examples: gradientExamples.explain,
        response: { 200: gradientsView },
        responseDocs: async () => ({
          200: {
            examples: { seed: documented.explain(explainSeed()) },
            media: { [markdown]: documented.derive(explainSeed()) },
          },
        }),
        errors: ['limit_exceeded', 'not_acceptable'],
      },
    },
    async (request, reply) => {
      reply.header('vary', 'accept');
      if (preferredType(request, [json, markdown]) === json) return services.gradients.explain(request.body);
      return reply.type(`${markdown}; charset=utf-8`).send(services.gradients.derive(request.body) as never);
    },
  );

  app.post(
    '/v1/gradient-checks',
    {
      schema: {
        operationId: 'checkGradients',
        tags,
        summary: 'Check gradients by central differences',
        description:
          'Holds backpropagation against central differences, the step chosen per parameter. Corners of relu-like units are counted as kinks, not as errors.',
        body: gradientCheckInput,
        examples: gradientExamples.check,
        response: { 200: gradientCheckView },
        responseDocs: async () => ({ 200: { examples: { seed: documented.check(checkSeed()) } } }),
        errors: ['limit_exceeded'],
      },
    },
    async (request) => services.gradients.check(request.body),
  );

  app.post(
    '/v1/gradient-audits',
    {
      schema: {
        operationId: 'auditGradients',
        tags,
        summary: 'Check my backprop',
        description:
          'Compares gradients, activations or updated parameters of your own code with the truth and with every known bug, single and in pairs. Right numbers are never accused, and a bug outside the list is `no_match`.',
        body: gradientAuditInput,
        examples: gradientExamples.audit,
        response: { 200: gradientAuditView },
        responseDocs: async () => ({ 200: { examples: { seed: await documented.audit(auditSeed()) } } }),
        errors: ['limit_exceeded'],
      },
    },
    async (request) => services.gradients.audit(request.body),
  );

  app.get(
    '/v1/engine/self-test',
    {
      schema: {
        operationId: 'selfTest',
        tags,
        summary: 'Test the engine on this machine',
        description: 'Checks every defined activation and loss by central differences, now, and serves the table.',
        response: { 200: selfTestView },
        responseDocs: { 200: { examples: { one: { passed: true, threshold: 1e-7, results: [tested] } } } },
      },
    },
    async () => services.gradients.selfTest(),
  );
};
