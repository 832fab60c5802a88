import t from 'tap'
import { nodeDiagnosis } from '../../../../cli/daemon/node-diagnosis.ts'
import type { HostProbes } from '../../../../cli/host/requirements.ts'
import { TraceEnd, type TracePath } from '../../../../proto/gen/tsswarm/v1/diagnosis.ts'
import { nodeId } from '../../../../proto/objects/index.ts'
import type { PeerReport } from '../../../../worker/network/peer-table.ts'
import { aLeg, anAudit, aPathEnd } from '../../../support/diagnosis.ts'

/** A host whose `nft list ruleset` says this, and on which commands that contain one of the words fail. */
function aHost(ruleset: object, failing: readonly string[] = []): HostProbes {
  return {
    platform: 'linux',
    nodeVersion: '20.19.4',
    userId: 0,
    find: async () => undefined,
    read: async () => undefined,
    run: async (argv) => {
      const isBroken = failing.some((word) => argv.includes(word))
      if (isBroken) return { code: 2, stdout: '', stderr: 'Operation not supported\n' }
      return {
        code: 0,
        stdout: argv.includes('ruleset') ? JSON.stringify(ruleset) : '',
        stderr: '',
      }
    },
  }
}

const chain = {
  family: 'inet',
  table: 'fw',
  name: 'input',
  type: 'filter',
  hook: 'input',
  prio: 0,
  policy: 'drop',
}
const control = {
  match: {
    op: '==',
    left: { payload: { protocol: 'tcp', field: 'dport' } },
    right: { range: [2377, 6222] },
  },
}
const admitsManagers = {
  nftables: [
    { chain },
    { rule: { family: 'inet', table: 'fw', chain: 'input', expr: [control, { accept: null }] } },
  ],
}

function aDiagnosis(
  probes: HostProbes,
  more: {
    readonly isManager?: boolean
    readonly peers?: readonly PeerReport[]
    readonly ways?: readonly TracePath[]
  } = {},
) {
  const { healing, ...report } = anAudit({ host: [{ text: 'a chain drops', remedy: 'wait' }] })
  return nodeDiagnosis({
    network: {
      report: async () => ({
        ...report,
        healing: healing ?? { forMs: 0, comparisons: 0, mended: 0, last: [] },
      }),
      leg: async () => aLeg(more.ways ?? []),
      lookup: async () => ({ addresses: ['10.0.1.2'], failure: '' }),
    },
    volumes: {
      answer: async () => ({ volumes: [], reclaimedBytes: 7, error: '', errorCode: '' }),
    },
    probes,
    vxlanPort: () => 4790,
    isManager: () => more.isManager ?? false,
    peers: () => more.peers ?? [],
  })
}

t.test(
  'the firewall is looked at for what this node needs, at the port of the cluster',
  async (t) => {
    const worker = await aDiagnosis(aHost(admitsManagers)).audit({ networkId: '' })
    t.match(worker.host, [
      { text: 'a chain drops' },
      {
        text: 'firewall: nft chain inet fw input keeps other nodes from 4790/udp',
        remedy: /nft insert rule inet fw input udp dport 4790 accept/,
      },
    ])
    const closed = { nftables: [{ chain }] }
    const manager = await aDiagnosis(aHost(closed), { isManager: true }).audit({ networkId: '' })
    t.match(manager.host[1]?.text, /2377\/tcp.*4790\/udp/)
    t.equal((await aDiagnosis(aHost({})).audit({ networkId: '' })).host.length, 1)
  },
)

t.test('a kernel without VXLAN is named', async (t) => {
  const { host } = await aDiagnosis(aHost({}, ['vxlan'])).audit({ networkId: '' })
  t.match(host[1], {
    text: /VXLAN: the kernel makes no such device: Operation not supported/,
    remedy: /modprobe vxlan/,
  })
})

t.test('silent peers are told, others not, and a way to one ends there', async (t) => {
  const peer = { vtep: '10.9.0.2', sinceMs: 5_000, mtu: undefined, isDown: false }
  const peers: readonly PeerReport[] = [
    { ...peer, nodeId: nodeId('a'), state: 'silent' },
    { ...peer, nodeId: nodeId('b'), state: 'reachable' },
    { ...peer, nodeId: nodeId('c'), state: 'unknown' },
    { ...peer, nodeId: nodeId('d'), state: 'silent', isDown: true },
  ]
  const ways = ['a', 'b', 'd'].map((id) => aPathEnd({ end: TraceEnd.VXLAN, nodeId: id }))
  const diagnosis = aDiagnosis(aHost({}), { peers, ways: [...ways, aPathEnd()] })
  const { silentPeers } = await diagnosis.audit({ networkId: '' })
  t.same(silentPeers, [{ nodeId: 'a', address: '10.9.0.2', silentMs: 5_000, port: 4790 }])
  t.match(await diagnosis.lookup({ taskId: 't', name: 'web' }), { addresses: ['10.0.1.2'] })
  const from = { $case: 'host', value: true } as const
  const request = { from, source: '', destination: '', protocol: 'tcp', port: 0 }
  t.match((await diagnosis.leg(request)).paths, [
    {
      end: TraceEnd.UNREACHABLE,
      reason: /10\.9\.0\.2 through UDP 4790 \(VXLAN\) for 5 s: a firewall/,
    },
    { end: TraceEnd.VXLAN },
    { end: TraceEnd.UNREACHABLE, reason: /the node is down/ },
    { end: TraceEnd.DELIVERED },
  ])
})
