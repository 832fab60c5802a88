// What check a container has, from spec and image. Source: Docker's merge and defaults (swarm-semantics 2, 7.5).
import t from 'tap'
import { healthcheckSpec } from '../../../../proto/spec/healthcheck-spec.ts'
import { healthCheckOf } from '../../../../worker/health/health-policy.ts'
import { imageHealth } from '../../../../worker/image/image-health.ts'

const spec = (fields: object) => healthcheckSpec.parse(fields)
const image = (fields: Readonly<Record<string, unknown>>, shell: readonly string[] = []) =>
  imageHealth(fields, shell)
const defaults = {
  intervalMs: 30_000,
  timeoutMs: 30_000,
  retries: 3,
  startPeriodMs: 0,
  startIntervalMs: 5_000,
}

t.test('nobody asks for one', async (t) => {
  t.equal(healthCheckOf(undefined, undefined), undefined)
  t.equal(healthCheckOf(undefined, image({})), undefined)
  t.equal(healthCheckOf(spec({ retries: 4 }), image({})), undefined, 'times alone ask nothing')
  t.equal(healthCheckOf(undefined, image({ Test: ['NONE'] })), undefined)
  t.equal(healthCheckOf(undefined, image({ Test: ['ODD', 'x'] })), undefined)
  t.equal(healthCheckOf(spec({ test: ['NONE'] }), image({ Test: ['CMD', 'a'] })), undefined)
})

t.test('the defaults are Docker’s', async (t) => {
  t.same(healthCheckOf(spec({ test: ['CMD', 'a', 'b'] }), undefined), {
    probe: { kind: 'command', argv: ['a', 'b'] },
    policy: defaults,
  })
})

t.test('each field is the spec’s, else the image’s', async (t) => {
  const ofImage = image({
    Test: ['CMD-SHELL', 'x'],
    Interval: 7e9,
    Timeout: 1.5e6,
    Retries: 9,
    StartPeriod: 1,
    StartInterval: 2e9,
  })
  t.same(healthCheckOf(undefined, ofImage), {
    probe: { kind: 'command', argv: ['/bin/sh', '-c', 'x'] },
    policy: {
      intervalMs: 7_000,
      timeoutMs: 2,
      retries: 9,
      startPeriodMs: 1,
      startIntervalMs: 2_000,
    },
  })
  t.match(healthCheckOf(spec({ intervalMs: 5, retries: 1 }), ofImage), {
    probe: { argv: ['/bin/sh', '-c', 'x'] },
    policy: { intervalMs: 5, retries: 1, timeoutMs: 2 },
  })
  t.match(healthCheckOf(spec({ test: ['CMD', 'own'] }), ofImage), {
    probe: { argv: ['own'] },
    policy: { intervalMs: 7_000 },
  })
})

t.test('a line is for the shell of the image', async (t) => {
  const bash = image({}, ['/bin/bash', '-ec'])
  t.match(healthCheckOf(spec({ test: ['CMD-SHELL', 'x y'] }), bash), {
    probe: { argv: ['/bin/bash', '-ec', 'x y'] },
  })
  t.match(healthCheckOf(spec({ test: ['CMD-SHELL', 'x'] }), undefined), {
    probe: { argv: ['/bin/sh', '-c', 'x'] },
  })
})

t.test('the node’s own probes go before the image’s command', async (t) => {
  const ofImage = image({ Test: ['CMD', 'a'], Interval: 7e9 })
  t.match(healthCheckOf(spec({ http: { port: 80 } }), ofImage), {
    probe: { kind: 'http', port: 80, path: '/' },
    policy: { intervalMs: 7_000 },
  })
  t.match(healthCheckOf(spec({ tcp: { port: 80 } }), undefined), { probe: { kind: 'tcp' } })
})

t.test('an image that says odd things says nothing', async (t) => {
  const odd = image({ Test: 'CMD a', Interval: '5s', Retries: -1, Timeout: null })
  t.match(odd, { test: [], intervalMs: 0, retries: 0, timeoutMs: 0, shell: ['/bin/sh', '-c'] })
})
