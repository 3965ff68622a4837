/** Whole tensors that the explanation of a step can show. */

/** Values of a pass, one row per sample. */
export const batchTensors = ['pre_activations', 'activations', 'deltas', 'input_gradients'] as const;
/** Values in the shape of the parameters. */
export const parameterTensors = ['gradients', 'updates', 'parameters'] as const;

export type BatchTensor = (typeof batchTensors)[number];
export type ParameterTensor = (typeof parameterTensors)[number];
