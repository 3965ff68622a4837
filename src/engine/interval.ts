/** A range of real numbers as data: the values of an activation, the domain of a loss or of its targets. */
export interface Interval {
  readonly minimum: number;
  readonly maximum: number;
  /** The minimum itself does not belong to it. */
  readonly open_minimum?: boolean;
  /** The maximum itself does not belong to it. */
  readonly open_maximum?: boolean;
}

/** Whether value lies in the interval; NaN lies in none. */
export function contains(interval: Interval, value: number): boolean {
  const above = interval.open_minimum ? value > interval.minimum : value >= interval.minimum;
  const below = interval.open_maximum ? value < interval.maximum : value <= interval.maximum;
  return above && below;
}

/** Whether all of `inner` lies in `outer`. */
export function encloses(outer: Interval, inner: Interval): boolean {
  return reachesBelow(outer, inner) === false && reachesAbove(outer, inner) === false;
}

/** Whether `inner` has values below the lower end of `outer`. */
export function reachesBelow(outer: Interval, inner: Interval): boolean {
  if (inner.minimum !== outer.minimum) return inner.minimum < outer.minimum;
  return outer.open_minimum === true && inner.open_minimum !== true;
}

/** Whether `inner` has values above the upper end of `outer`. */
export function reachesAbove(outer: Interval, inner: Interval): boolean {
  if (inner.maximum !== outer.maximum) return inner.maximum > outer.maximum;
  return outer.open_maximum === true && inner.open_maximum !== true;
}
