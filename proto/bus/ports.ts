// Where the bus of a manager listens: at fixed distances from its control port, so that nobody has to be told.

/** 4222 beside 2377. */
export const busPortOffset = 1_845
/** 6222 beside 2377: between managers. */
export const busRoutePortOffset = 3_845

export interface BusPorts {
  readonly client: number
  readonly route: number
}

/** Undefined when there are no such ports. */
export function busPorts(controlPort: number): BusPorts | undefined {
  const [client, route] = [controlPort + busPortOffset, controlPort + busRoutePortOffset]
  return route > 65_535 ? undefined : { client, route }
}
