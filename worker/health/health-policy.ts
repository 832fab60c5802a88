// What a container's health check is, from its spec and its image. Pure.
// Source: Docker's merge of HEALTHCHECK (each field by itself) and its defaults; swarm-semantics 2 and 7.5.
import type { HealthcheckSpec } from '../../proto/spec/healthcheck-spec.ts'
import type { ImageHealth } from '../executor/executor.ts'

export interface HealthPolicy {
  readonly intervalMs: number
  readonly timeoutMs: number
  /** Failures in a row that make a container unhealthy. */
  readonly retries: number
  /** From the start of the container: until it was healthy once, failures do not count in this time. */
  readonly startPeriodMs: number
  /** Instead of the interval until it was healthy once, in the start period. */
  readonly startIntervalMs: number
}

/** How a container is asked. */
export type HealthProbe =
  | { readonly kind: 'command'; readonly argv: readonly string[] }
  | { readonly kind: 'http'; readonly port: number; readonly path: string }
  | { readonly kind: 'tcp'; readonly port: number }

export interface HealthCheck {
  readonly probe: HealthProbe
  readonly policy: HealthPolicy
}

const defaultMs = { interval: 30_000, timeout: 30_000, startInterval: 5_000 }
const defaultRetries = 3

/** Undefined: there is none, or it is switched off. `image` is undefined for a container of an older daemon. */
export function healthCheckOf(
  spec: HealthcheckSpec | undefined,
  image: ImageHealth | undefined,
): HealthCheck | undefined {
  const probe = probeOf(spec, image)
  if (probe === undefined) return undefined
  const said = (field: Exclude<keyof HealthPolicy, symbol>, otherwise: number): number =>
    spec?.[field] || image?.[field] || otherwise
  return {
    probe,
    policy: {
      intervalMs: said('intervalMs', defaultMs.interval),
      timeoutMs: said('timeoutMs', defaultMs.timeout),
      retries: said('retries', defaultRetries),
      startPeriodMs: said('startPeriodMs', 0),
      startIntervalMs: said('startIntervalMs', defaultMs.startInterval),
    },
  }
}

function probeOf(
  spec: HealthcheckSpec | undefined,
  image: ImageHealth | undefined,
): HealthProbe | undefined {
  if (spec?.http !== undefined) return { kind: 'http', ...spec.http }
  if (spec?.tcp !== undefined) return { kind: 'tcp', ...spec.tcp }
  const own = spec?.test ?? []
  const [kind, ...words] = own.length > 0 ? own : (image?.test ?? [])
  if (words.length === 0) return undefined
  // Docker ignores kinds that it does not know.
  if (kind === 'CMD') return { kind: 'command', argv: words }
  return kind === 'CMD-SHELL'
    ? { kind: 'command', argv: [...(image?.shell ?? usualShell), ...words] }
    : undefined
}

/** Of an image that names none. Source: Docker. */
export const usualShell: readonly string[] = ['/bin/sh', '-c']
