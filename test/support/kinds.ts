/** A small data set with a text column and two classes, and a job that learns it. */

/** 20 rows: a number, one of two texts, and the class that the number decides. */
export const csv = `size,colour,kind\n${Array.from({ length: 20 }, (_, i) => `${i},${i % 2 === 0 ? 'red' : 'blue'},${i < 10 ? 'small' : 'large'}`).join('\n')}\n`;
export const network = {
  input_size: 3,
  layers: [
    { units: 8, activation: 'tanh' },
    { units: 2, activation: 'softmax' },
  ],
  loss: 'sparse_categorical_cross_entropy',
};
export const options = {
  network,
  epochs: 100,
  batch_size: 5,
  standardize: true,
  optimizer: { name: 'adam', learning_rate: 0.05 },
};
