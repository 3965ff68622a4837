import type { Routes } from '../src/app.ts';
import { catalog } from '../src/schemas/catalog.ts';

export const catalogRoutes: Routes = async (app, { services }) => {
  app.get(
    '/v1/catalog',
    {
      schema: {
        operationId: 'getCatalog',
        tags: ['operations'],
        summary: 'List everything that has a name',
        description:
          'Activations, losses, initializers, optimizers, schedules, metrics, bugs, states, errors and limits with their defaults, ranges and formulas: the tables that the service itself is generated from.',
        response: { 200: catalog },
      },
    },
    async () => services.catalog,
  );
};
