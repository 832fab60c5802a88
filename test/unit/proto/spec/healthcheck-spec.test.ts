// What a health check may be. Source: swarm-semantics 2, ContainerSpec.Healthcheck.
import t from 'tap'
import {
  healthcheckFromProto,
  healthcheckToProto,
  taskHealthFromProto,
} from '../../../../proto/codec/health.ts'
import { hashTaskSpec } from '../../../../proto/codec/spec-hash.ts'
import { healthcheckJson } from '../../../../proto/docker/healthcheck-json.ts'
import { healthcheckSpec } from '../../../../proto/spec/healthcheck-spec.ts'
import { parseSpec } from '../../../../proto/spec/parse-spec.ts'
import { taskSpec } from '../../../../proto/spec/service-spec.ts'

const parse = (value: unknown) => parseSpec(healthcheckSpec, value, 'health check')

t.test('tests are those of Docker’s API', async (t) => {
  for (const test of [[], ['NONE'], ['CMD', 'a', ''], ['CMD-SHELL', 'a b']]) {
    t.same(parse({ test }).test, test)
  }
  for (const test of [['cmd', 'a'], ['CMD'], ['CMD', ''], ['CMD-SHELL'], ['CMD-SHELL', 'a', 'b']]) {
    t.throws(() => parse({ test }), /test must be \["NONE"\], "CMD" and a command/, test.join())
  }
  t.throws(() => parse({ test: ['NONE', 'x'] }), { code: 'INVALID_ARGUMENT' })
})

t.test('one way to ask, and nothing beside none', async (t) => {
  t.same(parse({ http: { port: 80 } }).http, { port: 80, path: '/' })
  t.throws(() => parse({ http: { port: 80 }, tcp: { port: 80 } }), /one of test, http and tcp/)
  t.throws(() => parse({ test: ['NONE'], retries: 1 }), /nothing beside/)
  t.throws(() => parse({ http: { port: 80, path: 'x' } }), /must begin with/)
  t.throws(() => parse({ tcp: { port: 0 } }), /must be at least 1/)
  t.throws(() => parse({ intervalMs: -1 }), /intervalMs \(-1ms\) must be at least/)
})

t.test('a spec without one has the hash that it had, with one another', async (t) => {
  const hash = (healthcheck?: unknown) =>
    hashTaskSpec(taskSpec.parse({ container: { image: 'a', healthcheck } }))
  t.equal(hash(), '557ffc6de9daed27634df44176a76c7e')
  t.not(hash({}), hash())
  t.not(hash({ tcp: { port: 1 } }), hash({ tcp: { port: 2 } }))
})

t.test('on the wire an absent path is the root, and an unknown state nobody’s end', async (t) => {
  const spec = parse({ http: { port: 80 }, retries: 2 })
  const wire = healthcheckToProto(spec)
  t.same(healthcheckFromProto({ ...wire, http: { port: 80, path: '' } }), { healthcheck: spec })
  t.same(healthcheckFromProto(undefined), {})
  const later = { state: 'dizzy', failures: 1, failedAtMs: 2, output: 'x' }
  t.match(taskHealthFromProto(later), { state: 'starting', failures: 1 })
})

t.test('Docker’s JSON leaves out what says nothing', async (t) => {
  t.same(healthcheckJson(undefined), {})
  const full = { test: ['CMD', 'a'], intervalMs: 1, timeoutMs: 2, startPeriodMs: 3, retries: 4 }
  t.same(healthcheckJson(parse({ ...full, startIntervalMs: 5 })), {
    Test: ['CMD', 'a'],
    Interval: 1_000_000,
    Timeout: 2_000_000,
    StartPeriod: 3_000_000,
    StartInterval: 5_000_000,
    Retries: 4,
  })
  t.same(healthcheckJson(parse({ http: { port: 80, path: '/x' } })), {
    Http: { Port: 80, Path: '/x' },
  })
  t.same(healthcheckJson(parse({ tcp: { port: 80 } })), { Tcp: { Port: 80 } })
})
