// The flags of health checks. Source: Docker's, with --health-http and --health-tcp beside.
import type { ContainerSpec } from '../../proto/spec/service-spec.ts'
import { bool, duration, type Flags, type FlagValues, integer, text } from '../flags.ts'
import { usage } from '../parse-args.ts'
import { read } from '../read-flag.ts'
import { defined } from './defined.ts'

type Healthcheck = NonNullable<ContainerSpec['healthcheck']>

export const healthFlags = {
  'health-cmd': text('Command to run to check health'),
  'health-http': text('Ask this port of the container for a page to check health (PORT[/PATH])', {
    takes: 'port',
  }),
  'health-interval': duration('Time between running the check (ms|s|m|h)'),
  'health-retries': integer('Consecutive failures needed to report unhealthy', {
    min: 0,
    max: 2 ** 31 - 1,
  }),
  'health-start-interval': duration(
    'Time between running the check during the start period (ms|s|m|h)',
  ),
  'health-start-period': duration(
    'Start period for the container to initialize before counting retries towards unstable (ms|s|m|h)',
  ),
  'health-tcp': integer(
    'Connect to this port of the container to check health',
    { min: 1, max: 65_535 },
    { takes: 'port' },
  ),
  'health-timeout': duration('Maximum time to allow one check to run (ms|s|m|h)'),
  'no-healthcheck': bool('Disable any container-specified HEALTHCHECK'),
} satisfies Flags

type HealthFlags = FlagValues<typeof healthFlags>

const nothing: Healthcheck = {
  test: [],
  intervalMs: 0,
  timeoutMs: 0,
  retries: 0,
  startPeriodMs: 0,
  startIntervalMs: 0,
}

/**
 * The health check with what the flags say; nothing when it is to be as the image says. Errors: USAGE for flags that
 * exclude one another.
 */
export function changeHealthcheck(
  current: Healthcheck | undefined,
  flags: HealthFlags,
): Pick<ContainerSpec, 'healthcheck'> {
  const changes = defined({
    intervalMs: flags['health-interval'],
    timeoutMs: flags['health-timeout'],
    retries: flags['health-retries'],
    startPeriodMs: flags['health-start-period'],
    startIntervalMs: flags['health-start-interval'],
  })
  const probe = probeOf(flags)
  const isChanged = probe !== undefined || Object.keys(changes).length > 0
  if (flags['no-healthcheck']) {
    if (isChanged) throw usage('--no-healthcheck conflicts with --health-* options')
    return { healthcheck: { ...nothing, test: ['NONE'] } }
  }
  if (!isChanged) return current === undefined ? {} : { healthcheck: current }
  const { test, http, tcp, ...timing } = current ?? nothing
  const kept = { test: test[0] === 'NONE' ? [] : test, ...defined({ http, tcp }) }
  const next = { ...timing, ...changes, ...(probe ?? kept) }
  return isNothing(next) ? {} : { healthcheck: next }
}

type Probe = Pick<Healthcheck, 'test' | 'http' | 'tcp'>

/** Undefined: the flags say nothing of it. An empty command is the image's. */
function probeOf(flags: HealthFlags): Probe | undefined {
  const command = flags['health-cmd']
  const page = flags['health-http']
  const port = flags['health-tcp']
  const given = [command, page, port].filter((one) => one !== undefined)
  if (given.length > 1) {
    throw usage('--health-cmd, --health-http and --health-tcp exclude one another: give one')
  }
  if (command !== undefined) return { test: command === '' ? [] : ['CMD-SHELL', command] }
  if (page !== undefined) {
    return { test: [], http: read('health-http', () => parseHttpProbe(page), page) }
  }
  return port === undefined ? undefined : { test: [], tcp: { port } }
}

/** `8080`, `8080/healthz`, `:8080/healthz`. Errors: Error. */
function parseHttpProbe(text: string): NonNullable<Healthcheck['http']> {
  const match = /^:?(\d{1,5})(\/\S*)?$/.exec(text)
  const port = Number(match?.[1])
  if (match === null || port < 1 || port > 65_535) {
    throw new Error('must be a port of the container and a path, such as 8080/healthz')
  }
  return { port, path: match[2] ?? '/' }
}

function isNothing(healthcheck: Healthcheck): boolean {
  return Object.values(healthcheck).every((value) =>
    Array.isArray(value) ? value.length === 0 : value === 0,
  )
}
