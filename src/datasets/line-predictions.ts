/** Lines of JSON to lines of predictions, with no more than a piece of them in memory. */
import type { FloatArray } from '../engine/backend.ts';
import { plan } from '../engine/plan.ts';
import type { WasmOptions } from '../engine/wasm/backend.ts';
import { jsonNumbers } from '../interop/json-numbers.ts';
import { decisions } from '../training/decisions.ts';
import { Inference } from '../training/inference.ts';
import type { InferenceModel } from '../training/protocol.ts';
import { type Features, RowEncoder, rowReport } from './features.ts';
import { DatasetError, type DatasetProblem, Problems, refuseData } from './problems.ts';

export interface LineModel extends InferenceModel {
  /** Null: the rows are lists of one number per feature, or objects whose columns are x1, x2, … */
  readonly features: Features | null;
  /** Members that every line of the answer has. */
  readonly mark: Readonly<Record<string, string>>;
}

/** What has become of a piece of the body. */
export interface AnsweredLines {
  /** Lines of JSON, UTF-8. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** What is wrong with the row after those that are answered; nothing comes after it. */
  readonly problems: readonly DatasetProblem[] | null;
}

/** Rows that go through the network at once, and numbers of them at most. */
const batchRows = 1024;
const batchValues = 2 ** 20;
/** Bytes of one line; what is not whole is kept until it is. */
const maxLineBytes = 2 ** 24;
const LF = 0x0a;

const unnamed = (size: number): Features => ({
  columns: Array.from({ length: size }, (_, i) => ({ name: `x${i + 1}`, categories: null })),
  classes: null,
});

export class LinePredictor {
  readonly #inference: Inference;
  readonly #encoder: RowEncoder;
  readonly #values: Float64Array;
  readonly #capacity: number;
  readonly #write: (outputs: FloatArray, row: number) => string;
  readonly #utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  #rest: Uint8Array = new Uint8Array(0);
  /** Lines that hold a row, so far. */
  #rows = 0;
  #isFirst = true;
  #waiting = 0;
  #texts: string[] = [];

  constructor(model: LineModel, compiler: WasmOptions) {
    const { input_size, output_size } = plan(model.network);
    const features = model.features ?? unnamed(input_size);
    this.#inference = new Inference(compiler);
    this.#inference.learn(0, model);
    this.#encoder = new RowEncoder(features);
    this.#capacity = Math.max(1, Math.min(batchRows, Math.floor(batchValues / input_size)));
    this.#values = new Float64Array(this.#capacity * input_size);
    this.#write = writer(model, output_size, features.classes);
  }

  /** Answers all lines that are whole; at the end also the last one, which may lack its line break. */
  take(bytes: Uint8Array, isLast: boolean): AnsweredLines {
    this.#texts = [];
    let problems: readonly DatasetProblem[] | null = null;
    try {
      for (const line of this.#lines(bytes, isLast)) this.#add(line);
    } catch (error) {
      if (!(error instanceof DatasetError)) throw error;
      problems = error.problems;
    }
    this.#predict();
    return { bytes: new TextEncoder().encode(this.#texts.join('')), problems };
  }

  /** The lines that are whole; what is left is kept. */
  #lines(bytes: Uint8Array, isLast: boolean): string[] {
    const end = isLast ? bytes.length : bytes.lastIndexOf(LF) + 1;
    if (end === 0 && !isLast) {
      this.#keep(joined(this.#rest, bytes));
      return [];
    }
    const text = this.#decode(joined(this.#rest, bytes.subarray(0, end)));
    this.#keep(bytes.slice(end));
    return text.split('\n');
  }

  #keep(rest: Uint8Array): void {
    this.#rest = rest;
    if (rest.length <= maxLineBytes) return;
    refuseData('wrong_format', `Row ${this.#rows} is longer than ${maxLineBytes} bytes.`, `/${this.#rows}`);
  }

  #decode(bytes: Uint8Array): string {
    try {
      const text = this.#utf8.decode(bytes);
      const marked = this.#isFirst && text.startsWith('\ufeff');
      this.#isFirst = false;
      return marked ? text.slice(1) : text;
    } catch (cause) {
      throw new DatasetError([{ pointer: '', code: 'wrong_format', detail: 'The text is not UTF-8.' }], { cause });
    }
  }

  #add(line: string): void {
    if (line.trim() === '') return;
    const problems = new Problems();
    const size = this.#encoder.size;
    this.#encoder.put(parse(line, this.#rows), this.#values, this.#waiting * size, rowReport(problems, this.#rows, ''));
    problems.throwIfAny();
    this.#rows += 1;
    this.#waiting += 1;
    if (this.#waiting === this.#capacity) this.#predict();
  }

  #predict(): void {
    const rows = this.#waiting;
    this.#waiting = 0;
    const inputs = this.#values.subarray(0, rows * this.#encoder.size);
    if (rows > 0) {
      const outputs = this.#inference.answer(0, { name: 'predict', asked: { inputs, rows } }) as FloatArray;
      for (let row = 0; row < rows; row += 1) this.#texts.push(this.#write(outputs, row));
    }
    // Also what a row that was refused has left behind: texts are written into zeros.
    this.#values.fill(0);
  }
}

function parse(line: string, row: number): unknown {
  try {
    return JSON.parse(line);
  } catch (error) {
    return refuseData('wrong_format', `Row ${row} is not valid JSON: ${(error as Error).message}.`, `/${row}`);
  }
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  if (a.length === 0) return b;
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}

/** `{"outputs":[…],"label":…}` and a line break. */
function writer({ model, mark }: LineModel, size: number, classes: readonly string[] | null) {
  const decide = decisions({ target_kind: model.target_kind, output_size: size }, classes);
  const marked = Object.keys(mark).length === 0 ? '' : `,${JSON.stringify(mark).slice(1, -1)}`;
  return (outputs: FloatArray, row: number): string => {
    const values = jsonNumbers(outputs.subarray(row * size, (row + 1) * size));
    const label = decide === null ? '' : `,"label":${JSON.stringify(decide(outputs, row * size))}`;
    return `{"outputs":${values}${label}${marked}}\n`;
  };
}
