// network audit and network trace, against a daemon in this process that answers what a test says.
import t, { type Test } from 'tap'
import { SwarmError } from '../../../proto/errors.ts'
import {
  type AuditedNode,
  AuditFindingKind,
  type AuditNetworkResponse,
  type TraceNetworkResponse,
  TraceVerdict,
} from '../../../proto/gen/tsswarm/v1/control.ts'
import { startTestDaemon, type TestDaemon } from '../../support/daemon-server.ts'

async function aDaemon(t: Test): Promise<TestDaemon> {
  const daemon = await startTestDaemon()
  t.teardown(() => daemon.close())
  return daemon
}

function aNode(name: string, node: Partial<AuditedNode> = {}): AuditedNode {
  const healing = { forMs: 7_200_000, comparisons: 120, mended: 0, last: [] }
  return { nodeId: `id-${name}`, name, err: '', findings: [], leftOut: 0, healing, ...node }
}

function answering(d: TestDaemon, names: readonly string[], nodes: readonly AuditedNode[]): void {
  d.control['auditNetwork'] = async function* (): AsyncGenerator<AuditNetworkResponse> {
    yield { kind: { $case: 'asked', value: { names } } }
    for (const value of nodes) yield { kind: { $case: 'node', value } }
  }
}

const lost = {
  kind: AuditFindingKind.KERNEL,
  text: 'route to 10.0.1.6 (task web.3 on w1) is missing on network back',
  remedy: '',
  network: 'back',
}
const silent = {
  kind: AuditFindingKind.PEER,
  text: 'gets no answer from m1',
  remedy: 'admit 4789/udp',
  network: '',
}

t.test('a clean audit ends with 0, and differences with 1', async (t) => {
  const d = await aDaemon(t)
  answering(d, ['m1', 'w2'], [aNode('w2'), aNode('m1')])
  t.match(await d.run('network audit'), {
    code: 0,
    stdout: '2 nodes asked: nothing differs\n',
    stderr: '',
  })
  t.match(d.seen.at(-1)?.request, { network: '', nodes: [] })
  const last = ['a', 'b', 'c', 'd'].map((text, i) => ({ agoMs: 1_000 * (i + 1), text }))
  const healing = { forMs: 60_000, comparisons: 3, mended: 4, last }
  answering(
    d,
    ['m1', 'w2'],
    [aNode('w2', { findings: [silent, lost], leftOut: 5, healing }), aNode('m1')],
  )
  const found = await d.run('network audit --node w2 -n self back')
  t.equal(found.code, 1)
  t.match(d.seen.at(-1)?.request, { network: 'back', nodes: ['w2', 'self'] })
  t.equal(
    found.stdout,
    'w2: gets no answer from m1\n    what to do: admit 4789/udp\n' +
      'w2: route to 10.0.1.6 (task web.3 on w1) is missing on network back\n' +
      'w2: and 5 more differences\n' +
      'w2: 4 differences were mended in about a minute, the last of them:\n' +
      '    1 second ago: a\n    2 seconds ago: b\n    3 seconds ago: c\n' +
      '2 nodes asked: 7 findings\n',
  )
  t.match((await d.run('network audit -v')).stdout, /4 seconds ago: d/)
})

t.test('a node that does not answer makes it 2, whatever else is found', async (t) => {
  const d = await aDaemon(t)
  answering(
    d,
    ['m1', 'w2'],
    [aNode('w2', { err: 'it is down', healing: undefined }), aNode('m1', { findings: [lost] })],
  )
  const found = await d.run('network audit')
  t.match(found, {
    code: 2,
    stdout: /^w2: does not answer: it is down\n(.|\n)*2 nodes asked, 1 answered: 1 finding\n$/,
  })
  answering(d, ['m1', 'w2'], [aNode('m1')])
  t.match(await d.run('network audit'), { code: 2, stderr: /ended before w2 had answered/ })
  d.control['auditNetwork'] = () => {
    throw new SwarmError('NOT_FOUND', 'network "nope" not found')
  }
  t.match(await d.run('network audit nope'), {
    code: 2,
    stderr: 'Error: network "nope" not found\n',
  })
  t.match(await d.run('network audit a b'), { code: 125 })
})

t.test('programs get an object a node, and a terminal who is waited for', async (t) => {
  const d = await aDaemon(t)
  answering(d, ['m1', 'w2'], [aNode('w2', { findings: [silent] }), aNode('m1')])
  const json = await d.run('network audit --format json')
  const [first] = json.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  t.match(first, {
    Node: 'w2',
    Findings: [{ Kind: 'peer', Remedy: 'admit 4789/udp' }],
    Healing: { Comparisons: 120 },
  })
  const template = await d.run(['network', 'audit', '--format', '{{.Node}} {{.Healing.Mended}}'])
  t.equal(template.stdout, 'w2 0\nm1 0\n')
  const terminal = await d.run('network audit', { terminal: true })
  t.match(terminal.stderr, /0 of 2 nodes answered, waiting for m1, w2/)
  t.match(terminal.stderr, /1 of 2 nodes answered, waiting for m1/)
  t.ok(terminal.stderr.endsWith('\r\u001b[K'), 'and it is gone at the end')
})

function aTrace(trace: Partial<TraceNetworkResponse> = {}): TraceNetworkResponse {
  const branch = {
    target: 'web.1 on w1 (10.0.1.5)',
    steps: [{ place: 'w1, container', text: 'arrives by eth0' }],
    verdict: TraceVerdict.DELIVERED,
    text: 'delivered to web.1 on w1 (eth0)',
    mtu: 1450,
  }
  const steps = [{ place: 'w2, resolver', text: 'db.1 asks for "web"' }]
  return { steps, branches: [branch], verdict: branch.verdict, text: branch.text, ...trace }
}

t.test('a trace shows each step and where it ends', async (t) => {
  const d = await aDaemon(t)
  d.control['traceNetwork'] = async () => aTrace()
  const found = await d.run('network trace db.1 web:80')
  t.match(d.seen.at(-1)?.request, { source: 'db.1', destination: 'web:80', protocol: '' })
  t.equal(found.code, 0)
  t.equal(
    found.stdout,
    'w2, resolver    db.1 asks for "web"\nw1, container   arrives by eth0\n' +
      '=> delivered to web.1 on w1 (eth0), packets of up to 1450 bytes\n',
  )
  const [way] = aTrace().branches
  if (way === undefined) return
  const refused = {
    ...way,
    verdict: TraceVerdict.REFUSED,
    text: 'refused: no serving task',
    steps: [],
  }
  const two = aTrace({
    branches: [way, refused],
    verdict: TraceVerdict.REFUSED,
    text: '1 of 2 ways fail',
  })
  d.control['traceNetwork'] = async () => two
  const parted = await d.run('network trace -p udp db.1 web')
  t.match(d.seen.at(-1)?.request, { protocol: 'udp' })
  t.equal(parted.code, 1)
  t.match(
    parted.stdout,
    /way to web\.1 on w1 \(10\.0\.1\.5\):\n {2}w1, container.*\n {2}=> delivered/,
  )
  t.match(parted.stdout, /\n {2}=> refused: no serving task\n=> 1 of 2 ways fail\n$/)
  const json = JSON.parse((await d.run('network trace --format json db.1 web')).stdout)
  t.match(json, {
    Verdict: 'refused',
    Ways: [{ Verdict: 'delivered', Mtu: 1450 }, { Verdict: 'refused' }],
  })
  t.equal(
    (await d.run(['network', 'trace', '-f', '{{.Text}}', 'a', 'b'])).stdout,
    '1 of 2 ways fail\n',
  )
})

t.test('what is not known, or cannot be traced, is neither success nor refusal', async (t) => {
  const d = await aDaemon(t)
  d.control['traceNetwork'] = async () =>
    aTrace({ branches: [], verdict: TraceVerdict.UNKNOWN, text: 'unknown: w1 is down' })
  t.match(await d.run('network trace db.1 web'), { code: 2, stdout: /=> unknown: w1 is down\n$/ })
  d.control['traceNetwork'] = async () => {
    throw new SwarmError('NOT_FOUND', 'no such task')
  }
  t.match(await d.run('network trace x web'), { code: 2, stderr: 'Error: no such task\n' })
  t.match(await d.run('network trace x'), { code: 125 })
  t.match(await d.run('network trace -p icmp x y'), { code: 125 })
})

t.test('the ends of a trace are completed with tasks, services and nodes', async (t) => {
  const d = await aDaemon(t)
  await d.run('service create --detach --name web lab/hello')
  const { stdout } = await d.run(['__complete', '--', 'network', 'trace', ''])
  t.match(stdout, /^web\t/m)
  t.match(stdout, /^m1\t/m)
})
