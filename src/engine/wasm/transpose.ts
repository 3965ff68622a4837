/** Refreshes the transposed weights after an update. */
import type { FunctionBuilder, Index } from './assembler.ts';
import type { Expression } from './expression.ts';
import { addColumnsKernel, type KernelContext, type KernelFunction, shareOfPanels } from './kernel.ts';
import type { Lanes } from './lanes.ts';
import type { LayerLayout, Panels } from './layout.ts';
import { emitPanels, type Range } from './product.ts';

/** The part of a matrix that one pair of panels has in common. */
interface Block {
  /** Width of the panel of W and of the panel of Wᵀ, in columns with padding. */
  readonly unitWidth: number;
  readonly inputWidth: number;
  /** Columns and rows that are not padding. */
  readonly units: number;
  readonly inputs: number;
}

/** Wᵀ[unit][input] ← W[input][unit], both in panels of columns; squares of lanes × lanes are turned in registers. */
export function transposeKernel(context: KernelContext, current: LayerLayout): KernelFunction | null {
  const { weights, transposed } = current;
  if (transposed === null) return null;
  return addColumnsKernel(context, (kernel) => {
    const { f, o } = kernel;
    const [p, q] = [f.local('i32'), f.local('i32')];
    const own = shareOfPanels(kernel, weights);
    forPanels(f, q, transposed, weights.inner, undefined, (inputWidth, inputs) =>
      forPanels(f, p, weights, transposed.inner, own, (unitWidth, units) =>
        emitBlock(f, o, context, weights, transposed, [p, q], { unitWidth, inputWidth, units, inputs }),
      ),
    );
  });
}

/** A loop over the full panels, then the narrower last one; `columns` counts those without padding. */
function forPanels(
  f: FunctionBuilder,
  index: Index,
  panels: Panels,
  columns: number,
  range: Range | undefined,
  body: (width: number, columns: number) => void,
): void {
  const full = Math.floor(columns / panels.width);
  const rest = columns - full * panels.width;
  emitPanels(
    f,
    { panel: index, full, range },
    () => {},
    () => body(panels.width, panels.width),
    rest > 0 ? () => body(Math.min(panels.width, panels.columns - full * panels.width), rest) : null,
  );
}

function emitBlock(
  f: FunctionBuilder,
  o: Lanes,
  { layout }: KernelContext,
  weights: Panels,
  transposed: Panels,
  [p, q]: readonly [Index, Index],
  { unitWidth, inputWidth, units, inputs }: Block,
): void {
  const bytes = layout.bytesPerNumber;
  const { lanes } = o.shape;
  const [from, to] = [f.local('i32'), f.local('i32')];
  // Panel p of W, row q·width; panel q of Wᵀ, row p·width.
  address(f, from, [p, weights.width * weights.inner * bytes], [q, transposed.width * unitWidth * bytes]);
  address(f, to, [q, transposed.width * transposed.inner * bytes], [p, weights.width * inputWidth * bytes]);
  for (let input = 0; input < inputs; input += lanes) {
    for (let unit = 0; unit < units; unit += lanes) {
      const rows = Array.from({ length: lanes }, (_, i): Expression => {
        if (input + i >= inputs) return o.constant(0);
        return o.load(from, layout.parameters + weights.offset + ((input + i) * unitWidth + unit) * bytes);
      });
      const columns = o.transpose(rows).slice(0, units - unit);
      o.run(
        columns.map((value, i) => ({
          value,
          base: to,
          offset: transposed.offset + ((unit + i) * inputWidth + input) * bytes,
        })),
      );
    }
  }
  o.clearLocals();
}

/** local = a·factor + b·factor */
function address(f: FunctionBuilder, local: Index, a: readonly [Index, number], b: readonly [Index, number]): void {
  f.get(a[0]).i32(a[1]).op('i32.mul').get(b[0]).i32(b[1]).op('i32.mul').op('i32.add').set(local);
}
