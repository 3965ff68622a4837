/** The diagnosis of a small job, its lists cut short, as the documentation shows it; a test holds it to the schema. */
export const diagnosisExamples = {
  unscaled_inputs: {
    job_id: 'job_0198c5d2-7a3e-7bc1-9f00-5d3c1c0a8e21',
    state: 'failed',
    stop_reason: 'diverged',
    warnings: [
      {
        code: 'inputs_unscaled',
        level: 'warning',
        pointer: '/optimizer',
        detail: 'The inputs reach 3000, for which sgd is stable up to a learning rate of about 2e-7; this one is 0.5.',
        evidence: { largest_input: 3000, learning_rate: 0.5, stable_up_to: 2.2222222222222222e-7 },
        patch: [{ op: 'add', path: '/scaling', value: { inputs: 'standardize' } }],
      },
    ],
    verdict: 'failed',
    summary:
      'At step 3 (epoch 3, batch 1) the pre-activation of layer 2 became -Infinity. The inputs are not scaled: they reach 3000. A unit with an input x has a curvature of about x\u00b2, which decides how high a rate may be. The largest curvature of the loss is 27900000, so that rates above 7.18e-8 are unstable; this one is 6970000 times that. Scaled they are learned: standardized inputs and learning_rate 0.05: finite for 100 steps, loss 7.69e-11 (from 6.2).',
    failure: {
      code: 'diverged',
      message:
        'At step 3 (epoch 3, batch 1) the pre-activation of layer 2 became -Infinity. Most likely the inputs are not scaled: they reach 3000 in this batch, for which the learning rate 0.5 is above the stable bound of about 2e-7. Set "standardize": true.',
      step: 3,
      quantity: 'pre_activation',
      layer: 2,
      index: [0, 0],
      value: '-Infinity',
      epoch: 3,
      batch: 1,
      rows: [0, 1, 2],
      likely_cause:
        'Most likely the inputs are not scaled: they reach 3000 in this batch, for which the learning rate 0.5 is above the stable bound of about 2e-7. Set "standardize": true.',
      learning_rate: 0.5,
      unit: 0,
      row: 0,
    },
    cause: {
      code: 'unscaled_inputs',
      explanation:
        'The inputs are not scaled: they reach 3000. A unit with an input x has a curvature of about x\u00b2, which decides how high a rate may be. The largest curvature of the loss is 27900000, so that rates above 7.18e-8 are unstable; this one is 6970000 times that. Scaled they are learned: standardized inputs and learning_rate 0.05: finite for 100 steps, loss 7.69e-11 (from 6.2).',
      evidence: {
        input_rms: 2327.373340628157,
        input_abs_max: 3000,
        learning_rate: 0.5,
        largest_curvature: 27861542.568841103,
        learning_rate_bound: 7.178353442054913e-8,
      },
    },
    other_causes: [
      {
        code: 'learning_rate_too_high',
        explanation:
          'The learning rate 0.5 is too high. The largest curvature of the loss is 27900000, so that rates above 7.18e-8 are unstable; this one is 6970000 times that. What works: learning_rate 4e-8: finite for 100 steps, loss 0.314 (from 1410000).',
        evidence: {
          learning_rate: 0.5,
          largest_curvature: 27861542.568841103,
          learning_rate_bound: 7.178353442054913e-8,
        },
      },
    ],
    float64: {
      steps: 3,
      finite: false,
      loss_at_start: 1412141.1363931338,
      loss: 'Infinity',
      diverged_at: 4,
      sentence: 'In float64: not finite at step 4.',
    },
    growth: {
      from_step: 1,
      to_step: 2,
      loss: 7.378240938972432e25,
      gradients: 25995586531027235000,
      parameters: 2609710.41080155,
    },
    curvature: { step: 0, rows: 3, largest: 27861542.568841103, learning_rate_bound: 7.178353442054913e-8 },
    layers: [
      { layer: 1, activation: 'linear', dead_fraction: null, saturated_fraction: null, gradient_rms: 'NaN' },
      { layer: 2, activation: 'linear', dead_fraction: null, saturated_fraction: null, gradient_rms: 'NaN' },
    ],
    frames: [
      {
        step: 3,
        learning_rate: 0.5,
        loss: 'Infinity',
        gradient_norm: 'Infinity',
        layers: [
          {
            layer: 1,
            pre_activations: 2.4238753010201476e29,
            activations: 2.4238753010201476e29,
            deltas: 'Infinity',
            gradients: { weights: 'Infinity', biases: 'Infinity' },
            parameters: { weights: 6.5248771673113225e25, biases: 2.7138731886931255e22 },
          },
          {
            layer: 2,
            pre_activations: '-Infinity',
            activations: '-Infinity',
            deltas: '-Infinity',
            gradients: { weights: 'Infinity', biases: '-Infinity' },
            parameters: { weights: 4.911332623317717e25, biases: 9795184019636224 },
          },
        ],
      },
    ],
    control: null,
    fixes: [
      {
        id: 'standardize_inputs_and_learning_rate_0.05',
        title: 'standardized inputs and learning_rate 0.05',
        patch: [
          { op: 'add', path: '/standardize', value: false },
          { op: 'add', path: '/scaling', value: { inputs: 'standardize' } },
          { op: 'add', path: '/optimizer', value: { name: 'sgd', learning_rate: 0.05 } },
        ],
        kind: 'standardize_and_slow_down',
        from_step: 0,
        tried: {
          steps: 100,
          finite: true,
          loss_at_start: 6.201755081273888,
          loss: 7.687450974450045e-11,
          diverged_at: null,
        },
        succeeded: true,
        sentence: 'standardized inputs and learning_rate 0.05: finite for 100 steps, loss 7.69e-11 (from 6.2)',
      },
      {
        id: 'learning_rate_4e-8',
        title: 'learning_rate 4e-8',
        patch: [{ op: 'add', path: '/optimizer', value: { name: 'sgd', learning_rate: 4e-8 } }],
        kind: 'learning_rate',
        from_step: 0,
        tried: {
          steps: 100,
          finite: true,
          loss_at_start: 1412141.3000870515,
          loss: 0.31407531486658335,
          diverged_at: null,
        },
        succeeded: true,
        sentence: 'learning_rate 4e-8: finite for 100 steps, loss 0.314 (from 1410000)',
      },
    ],
    replay: { from_step: 0, steps: 2, compared: 2, bit_identical: true },
  },
};
