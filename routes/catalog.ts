import { type Catalog, catalog } from '../src/schemas/catalog.ts';
import type { Routes } from './plugin.ts';

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
        responseDocs: { 200: { examples: { shortened: firstEntries(services.catalog) } } },
      },
    },
    async () => services.catalog,
  );
};

/** The catalog with the first entry of each list: what the documentation shows. */
function firstEntries(whole: Catalog): object {
  return Object.fromEntries(Object.entries(whole).map(([list, entries]) => [list, entries.slice(0, 1)]));
}
