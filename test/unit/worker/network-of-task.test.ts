import t from 'tap'
import { networkId } from '../../../proto/objects/index.ts'
import { taskSpec } from '../../../proto/spec/service-spec.ts'
import { networkOfTask } from '../../../worker/network-of-task.ts'

t.test(
  'a task without addresses is on the local network, with its ports of host mode',
  async (t) => {
    const ports = [
      { targetPort: 80, publishedPort: 8080, mode: 'host' as const },
      { targetPort: 81, mode: 'ingress' as const },
    ]
    const spec = taskSpec.parse({ container: { image: 'hello' }, ports })
    t.match(networkOfTask({ attachments: [] }, spec, 'local'), {
      kind: 'attached',
      endpoints: [{ networkId: 'local', addresses: [] }],
      ports: [{ protocol: 'tcp', targetPort: 80, publishedPort: 8080 }],
    })
  },
)

t.test('a task with addresses is on those networks and no other', async (t) => {
  const spec = taskSpec.parse({ container: { image: 'hello' } })
  const attachments = ['red', 'blue'].map((id) => ({
    networkId: networkId(id),
    addresses: ['10.0.1.5', 'fd00::5'],
  }))
  const network = networkOfTask({ attachments }, spec, 'local')
  t.same(network.kind === 'attached' && network.endpoints, [
    { networkId: 'red', addresses: ['10.0.1.5', 'fd00::5'], aliases: [] },
    { networkId: 'blue', addresses: ['10.0.1.5', 'fd00::5'], aliases: [] },
  ])
})

t.test('kernel settings of an interface go with its own network', async (t) => {
  const option = 'com.docker.network.endpoint.sysctls'
  const driverOptions = {
    [option]: 'net.ipv4.conf.IFNAME.rp_filter=2,net.ipv6.conf.IFNAME.mtu=1400',
  }
  const networks = [{ target: 'red', driverOptions }, { target: 'blue' }, { target: 'bridge' }]
  const spec = taskSpec.parse({ container: { image: 'hello' }, networks })
  const attachments = ['red', 'blue'].map((id) => ({ networkId: networkId(id), addresses: [] }))
  const network = networkOfTask({ attachments }, spec, 'local')
  t.same(network.kind === 'attached' && network.endpoints, [
    { networkId: 'local', addresses: [], aliases: [] },
    {
      networkId: 'red',
      addresses: [],
      aliases: [],
      sysctls: [
        ['net/ipv4/conf/IFNAME/rp_filter', '2'],
        ['net/ipv6/conf/IFNAME/mtu', '1400'],
      ],
    },
    { networkId: 'blue', addresses: [], aliases: [] },
  ])
})
