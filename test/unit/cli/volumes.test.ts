// The volume commands, against a daemon in this process that answers what a test says.
import t, { type Test } from 'tap'
import { SwarmError } from '../../../proto/errors.ts'
import type {
  NodeVolumesAnswer,
  NodeVolumesResponse,
} from '../../../proto/gen/tsswarm/v1/control.ts'
import type { VolumeInfo, VolumeReply } from '../../../proto/gen/tsswarm/v1/volume.ts'
import { startTestDaemon, type TestDaemon } from '../../support/daemon-server.ts'

async function aDaemon(t: Test): Promise<TestDaemon> {
  const daemon = await startTestDaemon()
  t.teardown(() => daemon.close())
  return daemon
}

function aVolume(name: string, facts: Partial<VolumeInfo> = {}): VolumeInfo {
  return {
    ...{ name, driver: 'local', options: {}, labels: {}, mountpoint: `/v/${name}/_data` },
    ...{ createdAtMs: 1_700_000_000_000, anonymous: false, usedBy: [] },
    ...facts,
  }
}

function aReply(volumes: readonly VolumeInfo[], facts: Partial<VolumeReply> = {}): VolumeReply {
  return { volumes, reclaimedBytes: 0, error: '', errorCode: '', ...facts }
}

function answering(d: TestDaemon, answers: readonly Partial<NodeVolumesAnswer>[]): void {
  d.control['nodeVolumes'] = async function* (): AsyncGenerator<NodeVolumesResponse> {
    yield { kind: { $case: 'asked', value: { names: [] } } }
    for (const answer of answers) {
      const value = { nodeId: '', name: '', err: '', reply: undefined, ...answer }
      yield { kind: { $case: 'answer', value } }
    }
  }
}

t.test('volume ls shows those of this host, filtered', async (t) => {
  const d = await aDaemon(t)
  const volumes = [
    aVolume('web', { labels: { stage: 'test' }, usedBy: ['web.1.x'] }),
    aVolume('db', { labels: { stage: 'prod', a: '' } }),
  ]
  d.daemon['volumes'] = async () => aReply(volumes)
  t.match(await d.run('volume ls'), {
    code: 0,
    stdout: 'DRIVER    VOLUME NAME\nlocal     db\nlocal     web\n',
  })
  const names = async (filters: string) => (await d.run(`volume ls -q ${filters}`)).stdout
  t.equal(await names('--filter dangling=true'), 'db\n')
  t.equal(await names('-f dangling=false'), 'web\n')
  t.equal(await names('-f label=stage=test -f label=a'), 'db\nweb\n')
  t.equal(await names('-f name=w -f driver=local'), 'web\n')
  t.equal(await names('-f driver=nfs'), '')
  t.equal((await d.run('volume ls --format {{.Labels}}')).stdout, 'a=,stage=prod\nstage=test\n')
  for (const bad of ['-f node=x', '-f dangling=maybe', '--all-nodes --node w1']) {
    t.equal((await d.run(`volume ls ${bad}`)).code, 125, bad)
  }
})

t.test('nodes are asked, and one that does not answer is named', async (t) => {
  const d = await aDaemon(t)
  answering(d, [
    { name: 'w2', reply: aReply([aVolume('db-2')]) },
    { name: 'w3', err: 'it is down' },
    { name: 'w1', reply: aReply([aVolume('db-1', { usedBy: ['db.1.x'] })]) },
  ])
  t.match(await d.run('volume ls --all-nodes'), {
    code: 1,
    stdout: 'NODE      DRIVER    VOLUME NAME\nw1        local     db-1\nw2        local     db-2\n',
    stderr: 'Error: node w3: no answer: it is down\n',
  })
  t.match(d.seen.at(-1)?.request, { nodes: [] })
  await d.run('volume ls --node w1 --node w2')
  t.match(d.seen.at(-1)?.request, { nodes: ['w1', 'w2'], request: { kind: { $case: 'list' } } })
  const found = await d.run('volume inspect --all-nodes db-1')
  t.match(JSON.parse(found.stdout), [
    { Name: 'db-1', Node: 'w1', Scope: 'local', Mountpoint: '/v/db-1/_data', UsedBy: ['db.1.x'] },
  ])
  t.match(await d.run('volume inspect --all-nodes absent'), { code: 1, stderr: /no such volume/ })
})

t.test('volume create, rm, inspect and prune on this host', async (t) => {
  const d = await aDaemon(t)
  d.daemon['volumes'] = async () => aReply([aVolume('data')], { reclaimedBytes: 2_048 })
  t.match(await d.run('volume create -o type=tmpfs --opt device=tmpfs --label a=b -d local data'), {
    code: 0,
    stdout: 'data\n',
  })
  t.match(d.seen.at(-1)?.request, {
    kind: {
      $case: 'create',
      value: {
        name: 'data',
        driver: 'local',
        options: { type: 'tmpfs', device: 'tmpfs' },
        labels: { a: 'b' },
      },
    },
  })
  t.match(await d.run('volume rm -f data'), { code: 0, stdout: 'data\n' })
  t.match(d.seen.at(-1)?.request, { kind: { value: { name: 'data', force: true } } })
  t.match(JSON.parse((await d.run('volume inspect data')).stdout), [
    { Name: 'data', CreatedAt: '2023-11-14T22:13:20.000000000Z', Driver: 'local', Options: {} },
  ])
  t.equal((await d.run('volume prune')).code, 125, 'nothing is removed unless it is said so')
  t.match(await d.run('volume prune --force --filter label=a --filter label!=b=c'), {
    stdout: 'Deleted Volumes:\ndata\n\nTotal reclaimed space: 2KiB\n',
  })
  t.match(d.seen.at(-1)?.request, {
    kind: { value: { all: false, labels: ['a'], otherLabels: ['b=c'] } },
  })
  await d.run('volume prune -f --filter all=true')
  t.match(d.seen.at(-1)?.request, { kind: { value: { all: true } } })
  t.equal((await d.run('volume prune -f --filter until=1h')).code, 125)
  d.daemon['volumes'] = () => Promise.reject(new SwarmError('NOT_FOUND', 'get x: no such volume'))
  t.match(await d.run('volume rm x'), { code: 1, stderr: /get x: no such volume/ })
})

t.test('what one node refuses is told as its own', async (t) => {
  const d = await aDaemon(t)
  const error = 'remove data: volume is in use - [web.1.x]'
  answering(d, [{ name: 'w1', reply: aReply([], { error, errorCode: 'IN_USE' }) }])
  t.match(await d.run('volume rm --node w1 data'), { code: 1, stderr: /node w1: remove data: vol/ })
  t.match(await d.run('volume rm --all-nodes data'), {
    code: 1,
    stderr: `Error: node w1: ${error}\n`,
  })
  answering(d, [{ name: 'w1', reply: aReply([aVolume('data')]) }])
  t.match(await d.run('volume rm --all-nodes data'), { code: 0, stdout: 'w1: data\n' })
  t.match(await d.run('volume create --all-nodes data'), { code: 0, stdout: 'w1: data\n' })
  t.match(await d.run('volume prune -f --all-nodes'), { stdout: /w1: data/ })
})
