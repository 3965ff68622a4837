/** Answers about one small job, as the documentation shows them; tests hold them to the schemas. */

const id = 'job_0198c5d2-7a3e-7bc1-9f00-5d3c1c0a8e21';
const self = `/v1/jobs/${id}`;
const at = ['2026-01-31T12:00:00.000Z', '2026-01-31T12:00:00.004Z', '2026-01-31T12:00:00.101Z'] as const;
const parameters_sha256 = 'a847c51df6fc986c95bb9c526460cf25b9a5a5d226d5b39284c95440415c13e6';

const summary = {
  id,
  state: 'succeeded',
  stop_reason: 'completed',
  network_id: null,
  dataset_id: null,
  external_id: null,
  metadata: { team: 'a' },
  priority: 0,
  progress: { epoch: 3, epochs: 3, step: 3, steps: 3, fraction: 1, samples_per_second: 111568.5, eta: null },
  latest: { epoch: 3, step: 3, loss: 0.65, learning_rate: 0.05 },
  best: { monitor: 'loss', value: 0.65, epoch: 3, step: 3 },
  error: null,
  warnings: [],
  parent: null,
  simulate_bug: null,
  backend: 'wasm',
  threads: 1,
  run_sha256: 'fc109636757a22e9a4011843af8d39df339ce51a9bc909a1754dc618d47e2ab3',
  parameters_sha256,
  attempt: 1,
  created_at: at[0],
  started_at: at[1],
  updated_at: at[2],
  finished_at: at[2],
  allowed_actions: [],
  urls: {
    self,
    loss_history: `${self}/loss-history`,
    parameters: `${self}/parameters`,
    layers: `${self}/layers`,
    checkpoints: `${self}/checkpoints`,
    events: `${self}/events`,
    predict: `${self}/predict`,
    evaluate: `${self}/evaluate`,
    diagnosis: `${self}/diagnosis`,
    webhooks: `${self}/webhooks`,
  },
};

const view = {
  ...summary,
  network: { input_size: 2, layers: [{ units: 1, activation: 'sigmoid' }], loss: 'binary_cross_entropy' },
  request: { epochs: 3, batch_size: 4, shuffle: true, seed: 7, optimizer: 'adam', data: { rows: 4, sha256: 'b8f0' } },
  learning_rate_changes: [{ learning_rate: 0.05, first_step: 2, requested_at: at[1] }],
  rounding_changes: [],
  transitions: [
    { state: 'queued', at: at[0], reason: null },
    { state: 'running', at: at[1], reason: null },
    { state: 'succeeded', at: at[2], reason: 'completed' },
  ],
  test: null,
};

const running = {
  ...view,
  state: 'running',
  stop_reason: null,
  progress: { ...summary.progress, epoch: 1, step: 1, fraction: 1 / 3, eta: at[2] },
  parameters_sha256: null,
  finished_at: null,
  allowed_actions: ['pause', 'stop', 'cancel'],
  transitions: view.transitions.slice(0, 2),
};

const diverged = {
  ...view,
  state: 'failed',
  stop_reason: 'diverged',
  latest: { epoch: 1, step: 2, loss: 'Infinity', learning_rate: 0.05 },
  error: {
    code: 'diverged',
    message: 'the loss is Infinity',
    step: 2,
    epoch: 1,
    batch: 2,
    quantity: 'loss',
    value: 'Infinity',
    rows: [2, 3],
    likely_cause: 'the learning rate is too high',
  },
};

const held = {
  ...running,
  state: 'paused',
  error: {
    code: 'checkpoint_rounding',
    message:
      'the checkpoint of step 1 was written by a machine that rounds a multiply-add twice, this one rounds it once (fused), so the run would not end with the bits that were promised. Resume it on a machine like the one before, or here with {"accept_other_rounding": true}. With "arithmetic": "strict" a run can go on on any machine',
  },
  allowed_actions: ['resume', 'stop', 'cancel'],
  transitions: [...running.transitions, { state: 'paused', at: at[2], reason: 'other_rounding' }],
};

export const answers = {
  job: { done: view, running, diverged, held },
  preview: {
    network: view.network,
    request: view.request,
    rows: 4,
    steps: 3,
    parameter_count: 3,
    memory_bytes: 400,
    run_sha256: summary.run_sha256,
    warnings: [
      {
        code: 'learning_rate_unusual',
        level: 'warning',
        pointer: '/optimizer',
        detail: 'A learning rate of 50 is far above what adam is used with; its default is 0.001.',
        evidence: { learning_rate: 50, default: 0.001 },
        patch: [{ op: 'add', path: '/optimizer', value: { name: 'adam', learning_rate: 0.001 } }],
      },
    ],
  },
  list: { page: { data: [summary], has_more: false } },
  history: {
    short: {
      resolution: 'epoch',
      total_points: 3,
      returned_points: 3,
      sampled: false,
      step: [1, 2, 3],
      epoch: [1, 2, 3],
      series: { loss: [0.69, 0.67, 0.65], learning_rate: [0.05, 0.05, 0.05] },
    },
    diverged: {
      resolution: 'step',
      total_points: 2,
      returned_points: 2,
      sampled: false,
      step: [1, 2],
      epoch: [1, 1],
      series: { loss: [3.2e200, 'Infinity'], learning_rate: [0.05, 0.05] },
    },
  },
  parameters: {
    one_layer: {
      job_id: id,
      step: 3,
      epoch: 3,
      sha256: parameters_sha256,
      preprocessing: { inputs: null, targets: null },
      layers: [{ weights: [[-2.25, 3.5]], biases: [0.125] }],
    },
  },
  layers: {
    two_steps: {
      job_id: id,
      step: [1, 3],
      epoch: [1, 3],
      rows: [4, 4],
      layers: [
        {
          layer: 1,
          units: 1,
          activation: 'sigmoid',
          weights: { abs_max: [1.2, 1.17], mean: [0.3, 0.28], std: [0.9, 0.89] },
          gradients: { abs_max: [0.11, 0.1], mean: [0.02, 0.01], std: [0.09, 0.09] },
          updates: { abs_max: [0.05, 0.048], mean: [-0.01, -0.009], std: [0.05, 0.047] },
          activations: { abs_max: [0.76, 0.75], mean: [0.55, 0.54], std: [0.13, 0.12] },
          update_ratio: [0.054, 0.051],
          dead_fraction: null,
          saturated_fraction: [0, 0],
        },
      ],
    },
  },
  checkpoints: {
    one: {
      data: [
        {
          step: 3,
          epoch: 3,
          reason: 'end',
          bytes: 1507,
          created_at: at[2],
          parameters_url: `${self}/parameters?step=3`,
        },
      ],
    },
  },
  events: {
    page: {
      data: [
        { id: 1, type: 'state', at: at[0], data: { state: 'queued', reason: null } },
        { id: 2, type: 'state', at: at[1], data: { state: 'running', reason: null } },
      ],
      has_more: true,
    },
  },
  prediction: {
    two_rows: { job_id: id, step: 3, parameters_sha256, outputs: [[0.002], [0.998]], labels: [0, 1] },
  },
  evaluation: {
    xor: {
      job_id: id,
      step: 3,
      rows: 2,
      loss: 0.0021,
      metrics: { accuracy: 1 },
      confusion_matrix: null,
    },
  },
} as const;
