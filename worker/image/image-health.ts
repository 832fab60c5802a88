// HEALTHCHECK and SHELL of an image's configuration. Pure. Images in OCI's own format cannot have either.
// Source: Docker's image specification (v1.2), config.Healthcheck.
import type { ImageHealth } from '../executor/executor.ts'

const nanosecondsPerMs = 1_000_000
const usualShell = ['/bin/sh', '-c']

/** `healthcheck` as it was read; what is no number or list says nothing. */
export function imageHealth(
  healthcheck: Readonly<Record<string, unknown>>,
  shell: readonly string[],
): ImageHealth {
  const { Test: test } = healthcheck
  const ms = (field: string): number => {
    const value = count(healthcheck[field])
    // Less than a millisecond is not nothing.
    return Math.ceil(value / nanosecondsPerMs)
  }
  return {
    test: Array.isArray(test) ? test.filter((word) => typeof word === 'string') : [],
    intervalMs: ms('Interval'),
    timeoutMs: ms('Timeout'),
    retries: Math.floor(count(healthcheck['Retries'])),
    startPeriodMs: ms('StartPeriod'),
    startIntervalMs: ms('StartInterval'),
    shell: shell.length > 0 ? shell : usualShell,
  }
}

function count(value: unknown): number {
  return typeof value === 'number' && value > 0 ? value : 0
}
