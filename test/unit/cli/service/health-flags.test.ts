// The flags of health checks, against Docker's rules for them (swarm-semantics 3.1, docker service create and update).
import t from 'tap'
import { changeHealthcheck, healthFlags } from '../../../../cli/service/health-flags.ts'
import { healthcheckSpec } from '../../../../proto/spec/healthcheck-spec.ts'

type Flags = Parameters<typeof changeHealthcheck>[1]
type Healthcheck = ReturnType<typeof changeHealthcheck>['healthcheck']

const initial = Object.fromEntries(
  Object.entries(healthFlags).map(([name, flag]) => [name, flag.initial]),
) as Flags

function change(current: Healthcheck, flags: Partial<Flags>): Healthcheck {
  return changeHealthcheck(current, { ...initial, ...flags }).healthcheck
}

const check = (fields: object): Healthcheck => healthcheckSpec.parse(fields)

t.test('no flag leaves the image or the spec as it is', async (t) => {
  t.equal(change(undefined, {}), undefined)
  const current = check({ test: ['CMD', 'true'], retries: 2 })
  t.same(change(current, {}), current)
})

t.test('a command is for the shell, an empty one is the image’s', async (t) => {
  const made = change(undefined, { 'health-cmd': 'wget -q localhost', 'health-interval': 5_000 })
  t.same(made, check({ test: ['CMD-SHELL', 'wget -q localhost'], intervalMs: 5_000 }))
  t.same(change(made, { 'health-cmd': '' }), check({ intervalMs: 5_000 }))
  t.equal(change(check({ test: ['CMD', 'x'] }), { 'health-cmd': '' }), undefined)
})

t.test('every time and count ends where it belongs', async (t) => {
  const made = change(undefined, {
    'health-interval': 1,
    'health-timeout': 2,
    'health-retries': 3,
    'health-start-period': 4,
    'health-start-interval': 5,
  })
  const fields = { intervalMs: 1, timeoutMs: 2, retries: 3, startPeriodMs: 4, startIntervalMs: 5 }
  t.same(made, check(fields))
  t.same(change(made, { 'health-retries': 9 }), check({ ...fields, retries: 9 }))
})

t.test('--no-healthcheck is alone, and any other flag takes it back', async (t) => {
  const off = change(check({ test: ['CMD', 'x'], retries: 2 }), { 'no-healthcheck': true })
  t.same(off, check({ test: ['NONE'] }))
  t.same(change(off, { 'health-retries': 4 }), check({ retries: 4 }))
  t.throws(() => change(undefined, { 'no-healthcheck': true, 'health-retries': 1 }), {
    code: 'USAGE',
    message: /--no-healthcheck conflicts with --health-\* options/,
  })
})

t.test('the node’s own probes replace a command and the other way round', async (t) => {
  const http = change(check({ test: ['CMD', 'x'], retries: 2 }), { 'health-http': '8080/ok' })
  t.same(http, check({ http: { port: 8080, path: '/ok' }, retries: 2 }))
  t.same(change(undefined, { 'health-http': ':80' }), check({ http: { port: 80, path: '/' } }))
  const tcp = change(http, { 'health-tcp': 5432 })
  t.same(tcp, check({ tcp: { port: 5432 }, retries: 2 }))
  t.same(change(tcp, { 'health-timeout': 7 }), check({ ...tcp, timeoutMs: 7 }))
  t.same(change(tcp, { 'health-cmd': 'y' }), check({ test: ['CMD-SHELL', 'y'], retries: 2 }))
  const two = { 'health-tcp': 1, 'health-cmd': 'x' }
  t.throws(() => change(undefined, two), /exclude one another: give one/)
  for (const bad of ['0/x', '65536', 'http://x/', '80/a b', ''])
    t.throws(() => change(undefined, { 'health-http': bad }), /such as 8080\/healthz/, bad)
})
