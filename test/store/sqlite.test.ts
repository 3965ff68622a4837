import { conformance } from './conformance.ts';
import { sqlitePlace } from './places.ts';

conformance('the store on SQLite', sqlitePlace);
