// Listings as docker prints them: golden tables, templates, JSON, quiet.
import t from 'tap'
import { imageListView, imageRows } from '../../../../cli/render/image-list.ts'
import { renderInspect, renderInspectOne } from '../../../../cli/render/inspect-format.ts'
import { renderList } from '../../../../cli/render/list-format.ts'
import { nodeListViewOf, nodeRows } from '../../../../cli/render/node-list.ts'
import { serviceListView, serviceRows } from '../../../../cli/render/service-list.ts'
import { alignTable } from '../../../../cli/render/table.ts'
import { renderTasks } from '../../../../cli/render/task-list.ts'
import { Reachability } from '../../../../proto/gen/tsswarm/v1/control.ts'
import { TaskState } from '../../../../proto/objects/task-state.ts'
import { golden } from '../../../support/golden.ts'
import { aNodeView, aServiceView, aTaskView } from '../../../support/views.ts'

const id = (text: string): string => text.padEnd(25, '0')
const nowMs = 1_700_000_000_000

t.test('columns are as wide as their longest text and three, at least ten', async (t) => {
  t.equal(
    alignTable(['A\tB\tC', '1\tlonger than ten\tx']),
    'A         B                 C\n1         longer than ten   x\n',
  )
  t.equal(alignTable([]), '')
})

const services = [
  aServiceView({
    id: id('svc2'),
    name: 'web10',
    replicas: 3,
    running: 2,
    task: { image: 'docker.io/library/nginx:1.27@sha256:0123' },
  }),
  aServiceView({
    id: id('svc1'),
    name: 'web2',
    replicas: 5,
    running: 5,
    task: { placement: { maxReplicasPerNode: 1 } },
  }),
]

t.test('service ls', async (t) => {
  const rows = serviceRows(services)
  golden(t, 'test/golden/cli/service-ls.txt', renderList(serviceListView, rows, {}))
  t.equal(renderList(serviceListView, rows, { quiet: true }), 'svc100000000\nsvc200000000\n')
  t.equal(
    renderList(serviceListView, rows, { format: '' }),
    renderList(serviceListView, rows, {}),
    'an empty format is none',
  )
  t.equal(
    renderList(serviceListView, rows, { format: '{{.Name}} {{.Replicas}}' }),
    'web2 5/5 (max 1 per node)\nweb10 2/3\n',
  )
  t.equal(
    renderList(serviceListView, rows, { format: 'table {{.Name}}\\t{{upper .Mode}}' }),
    'NAME      MODE\nweb2      REPLICATED\nweb10     REPLICATED\n',
  )
  t.equal(
    renderList(serviceListView, rows, { format: '{{json .}}' }),
    renderList(serviceListView, rows, { format: 'json' }),
  )
  t.equal(
    renderList(serviceListView, rows.slice(1), { format: 'json' }),
    '{"ID":"svc200000000","Image":"nginx:1.27","Mode":"replicated","Name":"web10","Ports":"","Replicas":"2/3"}\n',
  )
  t.equal(
    renderList(serviceListView, rows, { format: 'table', quiet: true }),
    'ID\nsvc100000000\nsvc200000000\n',
  )
  t.equal(
    renderList(serviceListView, [], {}),
    'ID        NAME      MODE      REPLICAS   IMAGE     PORTS\n',
  )
  t.throws(
    () => renderList(serviceListView, rows, { format: '{{.Nme}}' }),
    /known fields are ID, Image, Mode/,
  )
})

const tasks = [
  aTaskView({
    id: id('t1'),
    slot: 1,
    node: id('n1'),
    hostname: 'w1',
    state: TaskState.FAILED,
    desiredState: TaskState.SHUTDOWN,
    createdAtMs: 1,
    stateAtMs: nowMs - 120_000,
    err: 'task: non-zero exit (137): it was killed for its memory',
  }),
  aTaskView({
    id: id('t2'),
    slot: 1,
    node: id('n2'),
    hostname: 'w2',
    createdAtMs: 2,
    stateAtMs: nowMs - 5_000,
    hostPorts: ['tcp/8080', 'tcp/9000'],
    spec: {
      image: 'nginx:1@sha256:0123',
      ports: [{ mode: 'host', targetPort: 80, publishedPort: 8080 }],
    },
  }),
  aTaskView({
    id: id('t3'),
    slot: 10,
    createdAtMs: 3,
    stateAtMs: nowMs - 7_200_000,
    err: 'no suitable node\n(insufficient resources on 2 nodes)',
  }),
  aTaskView({
    id: id('t4'),
    slot: 2,
    node: id('n1'),
    hostname: 'w1',
    createdAtMs: 1,
    stateAtMs: nowMs,
  }),
]
t.test('ports of a task are shown with the addresses that they are bound to', async (t) => {
  const ports = ['0.0.0.0', '::', '127.0.0.1'].map((bindAddress, i) => ({
    ...{ mode: 'host' as const, targetPort: 80 + i, publishedPort: 8080 },
    bindAddress,
  }))
  const task = aTaskView({ hostPorts: ports.map(() => 'tcp/8080'), spec: { ports } })
  t.equal(
    renderTasks([task], { ...taskFlags, format: '{{.Ports}}' }),
    '0.0.0.0:8080->80/tcp,[::]:8080->81/tcp,127.0.0.1:8080->82/tcp\n',
  )
})

const taskFlags = { format: undefined, quiet: false, 'no-trunc': false, 'no-resolve': false, nowMs }

t.test('service ps', async (t) => {
  golden(t, 'test/golden/cli/service-ps.txt', renderTasks(tasks, taskFlags))
  golden(
    t,
    'test/golden/cli/service-ps-no-trunc.txt',
    renderTasks(tasks, { ...taskFlags, 'no-trunc': true, 'no-resolve': true }),
  )
  t.equal(
    renderTasks(tasks, { ...taskFlags, quiet: true }),
    ['t2', 't1', 't4', 't3'].map((one) => `${id(one)}\n`).join(''),
  )
  t.equal(
    renderTasks(tasks, { ...taskFlags, format: '{{.Name}} {{.Node}} {{.DesiredState}}' }),
    'web.1 w2 Running\nweb.1 w1 Shutdown\nweb.2 w1 Running\nweb.10  Running\n',
    'templates get plain names',
  )
})

t.test('node ls', async (t) => {
  const nodes = [
    aNodeView({
      id: id('b'),
      hostname: 'm2',
      role: 'manager',
      reachability: Reachability.UNREACHABLE,
      state: 'down',
    }),
    aNodeView({
      id: id('a'),
      hostname: 'm1',
      role: 'manager',
      leader: true,
      reachability: Reachability.REACHABLE,
    }),
    aNodeView({ id: id('c'), hostname: 'w1', availability: 'drain' }),
    aNodeView({
      id: id('d'),
      hostname: 'm3',
      role: 'manager',
      reachability: Reachability.REACHABLE,
      availability: 'pause',
      state: 'unknown',
    }),
  ]
  const rows = nodeRows(nodes, id('a'))
  golden(t, 'test/golden/cli/node-ls.txt', renderList(nodeListViewOf(rows), rows, {}))
  t.equal(
    renderList(nodeListViewOf(rows), rows.slice(0, 1), {
      format: '{{.Hostname}} {{.Self}} {{.ManagerStatus}}',
    }),
    'm1 true Leader\n',
  )
})

t.test('image ls', async (t) => {
  const image = {
    id: `sha256:${'0123456789abcdef'.repeat(4)}`,
    names: ['docker.io/library/nginx:1.27', 'localhost:5000/app'],
    digests: [`docker.io/library/nginx@sha256:${'f'.repeat(64)}`],
    sizeBytes: 187_654_321,
    createdAtMs: nowMs - 86_400_000 * 3,
  }
  const bare = { ...image, names: [], digests: [], createdAtMs: 0, sizeBytes: 12 }
  const rows = imageRows([bare, image], { nowMs, truncate: true })
  const format = '{{.CreatedAt}} {{.VirtualSize}} {{.Containers}}'
  t.match(
    renderList(imageListView, rows, { format }),
    /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+0000 UTC \S+B N\/A$/m,
  )
  golden(t, 'test/golden/cli/image-ls.txt', renderList(imageListView, rows, {}))
  // As tasks leave it whose service is pinned to a digest.
  const pinned = { ...bare, digests: ['localhost:5000/app@sha256:0123'] }
  const [untagged] = imageRows([pinned], { nowMs, truncate: true })
  t.match(untagged, { Repository: 'localhost:5000/app', Tag: '<none>', Digest: 'sha256:0123' })
  const [full] = imageRows([image], { nowMs, truncate: false })
  t.equal(full?.ID, image.id)
  t.equal(full?.Digest, `sha256:${'f'.repeat(64)}`)
})

t.test('inspect', async (t) => {
  const object = { Name: 'web', Labels: { a: '1' } }
  t.equal(
    renderInspect([object], undefined),
    '[\n    {\n        "Name": "web",\n        "Labels": {\n            "a": "1"\n        }\n    }\n]\n',
  )
  t.equal(renderInspect([object], 'json'), '[{"Name":"web","Labels":{"a":"1"}}]\n')
  t.equal(
    renderInspect([object, object], '{{.Name}}\\t{{.Absent}}'),
    'web\t<no value>\nweb\t<no value>\n',
  )
  t.equal(renderInspect([], undefined), '[]\n')
  t.equal(renderInspectOne(object, 'json'), '{"Name":"web","Labels":{"a":"1"}}\n')
  t.equal(renderInspectOne(object, '{{json .Labels}}'), '{"a":"1"}\n')
})
