import t from 'tap'
import { parseClusterSpec } from '../../../../proto/codec/cluster.ts'
import { nodeSpecToProto, parseNodeSpec } from '../../../../proto/codec/node.ts'
import { parseServiceSpec, serviceSpecToProto } from '../../../../proto/codec/service.ts'
import { clusterSpec } from '../../../../proto/spec/cluster-spec.ts'
import { parseSpec } from '../../../../proto/spec/parse-spec.ts'
import { serviceSpec } from '../../../../proto/spec/service-spec.ts'
import { aNode, aService } from '../../../support/objects.ts'

const valid = aService({ name: 'web' }).spec

function refusal(value: unknown): string {
  try {
    parseSpec(serviceSpec, value, 'service "web"')
    return 'accepted'
  } catch (err) {
    return err instanceof Error ? err.message : String(err)
  }
}

t.test('a valid spec passes with defaults filled in', async (t) => {
  t.same(parseSpec(serviceSpec, valid, 'it'), valid)
  t.equal(valid.task.container.stopGraceMs, 10_000)
  t.same(parseServiceSpec(serviceSpecToProto(valid)), valid)
})

t.test('a script may stand as an argument, and a hostname be a long template', async (t) => {
  const inContainer = (part: object): string =>
    refusal({ ...valid, task: { ...valid.task, container: { ...valid.task.container, ...part } } })
  const script = `echo ${'x'.repeat(100_000)}`
  t.equal(inContainer({ command: ['sh', '-c', script] }), 'accepted')
  t.equal(inContainer({ args: [script] }), 'accepted')
  t.equal(inContainer({ healthcheck: { test: ['CMD-SHELL', script] } }), 'accepted')
  t.match(inContainer({ args: ['x'.repeat(131_072)] }), /args\[0\] .*at most 131071/)
  t.equal(inContainer({ hostname: `{{.Node.Hostname}}${'x'.repeat(60)}` }), 'accepted')
  t.match(inContainer({ hostname: 'x'.repeat(64) }), /hostname .*must be at most 63 characters/)
})

t.test('each refusal names object, field, value and remedy', async (t) => {
  const replicas = (replicas: number): unknown => ({
    ...valid,
    mode: { kind: 'replicated', replicas },
  })
  t.equal(refusal(replicas(100_000)), 'accepted')
  t.equal(
    refusal(replicas(100_001)),
    'service "web" is not valid: mode.replicas (100001) must be at most 100000',
  )
  t.match(refusal(replicas(-1)), 'mode.replicas (-1) must be at least 0')
  t.match(refusal(replicas(1.5)), 'mode.replicas (1.5) must be a whole number')
  t.match(refusal({ ...valid, mode: { kind: 'odd' } }), /mode\.kind .*odd/)
  t.match(refusal({ ...valid, name: '-web' }), /name \("-web"\) must be 1 to 63 letters/)
  const container = { ...valid.task.container, env: ['A=1', '=x'] }
  t.match(
    refusal({ ...valid, task: { ...valid.task, container } }),
    'task.container.env[1] ("=x") must be NAME=value',
  )
  t.match(refusal({ name: 'web' }), 'task must be given')
  t.match(refusal({ ...valid, name: 7 }), 'name (7) must be a string')
  t.match(refusal({ ...valid, name: 'x'.repeat(100) }), '…")')
  t.equal(refusal(undefined), 'service "web" is not valid: it must be given')
})

t.test('many problems are told together, within a bound', async (t) => {
  const env = Array.from({ length: 8 }, () => '=')
  const task = { ...valid.task, container: { ...valid.task.container, env } }
  const text = refusal({ ...valid, task })
  t.match(text, /env\[4\]/)
  t.notMatch(text, /env\[5\]/)
  t.match(text, /; and 3 more$/)
})

t.test('the first problem is in the details', async (t) => {
  t.throws(() => parseSpec(serviceSpec, { ...valid, name: '' }, 'it'), {
    code: 'INVALID_ARGUMENT',
    details: { field: 'name' },
  })
})

t.test('node and cluster specs are checked alike', async (t) => {
  const spec = nodeSpecToProto(aNode({}).spec)
  t.same(parseNodeSpec(spec, 'node "n"'), aNode({}).spec)
  t.throws(() => parseNodeSpec({ ...spec, name: 'x'.repeat(64) }, 'node "n"'), /^.*node "n".*name/)
  t.throws(() => parseNodeSpec(undefined, 'node "n"'), /node "n": field spec is missing/)
  const cluster = clusterSpec.parse({})
  t.same(parseClusterSpec(cluster), cluster)
  t.throws(
    () => parseClusterSpec({ ...cluster, heartbeatMs: 5, scheduling: 'odd' }),
    /heartbeatMs \(5ms\) must be at least 100 ms; scheduling \("odd"\) must be "spread" or/,
  )
})

t.test(
  'numbers are told as users write them, each field once, and long names are cut',
  async (t) => {
    const { task } = valid
    const limits = { nanoCpus: 2e18, memoryBytes: 2 ** 60, pids: 0 }
    t.equal(
      refusal({ ...valid, task: { ...task, limits } }),
      'service "web" is not valid: task.limits.nanoCpus (2000000000 CPUs) must be at most 1000000 CPUs; ' +
        'task.limits.memoryBytes (1048576TiB) must be at most 1024TiB',
    )
    t.match(
      refusal({ ...valid, task: { ...task, restart: { delayMs: 1e15 } } }),
      /restart\.delayMs \(277777777\.78h\) must be at most 277777\.78h/,
    )
    t.throws(
      () => parseSpec(serviceSpec, { ...valid, name: '' }, `service "${'a'.repeat(1_000)}"`),
      /^.*service "a{51}… is not valid: name/,
    )
  },
)
