/** The elementary functions of the engine: Math.exp and its kin differ between machines and are not used in it. */
export { erf, erfc, normalCdf, normalDensity } from './error-function.ts';
export { exp, expm1, expm1NonPositive, expNonPositive } from './exponential.ts';
export { log, log1mexp, log1p, log1pPositive, log1pUnit } from './logarithm.ts';
export {
  expOfMinusAbs,
  log_sigmoid,
  logSoftplus,
  logSoftplusSlope,
  sigmoid,
  sigmoidSlope,
  softplus,
  tanh,
  tanhSlope,
} from './logistic.ts';
export { cosPi, sinPi } from './trigonometry.ts';
