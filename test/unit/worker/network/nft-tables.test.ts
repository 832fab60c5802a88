import t from 'tap'
import { dataPlaneTable, hostTable, tableScript } from '../../../../worker/network/nft-tables.ts'
import { aNetworkState, anEndpoint, aPort } from '../../../support/network-builders.ts'

const bound = aPort({ bindAddress: '10.0.0.5', door: '169.254.77.4', publishedPort: 81 })

t.test('ports show up as elements only, so that rules never change with containers', async (t) => {
  const empty = aNetworkState()
  const full = aNetworkState({ endpoints: [anEndpoint({ ports: [aPort(), bound] })] })
  for (const table of [hostTable, dataPlaneTable]) {
    t.equal(table(full).chains, table(empty).chains)
    t.same(
      table(full).sets.map(({ name, declaration }) => [name, declaration]),
      table(empty).sets.map(({ name, declaration }) => [name, declaration]),
    )
  }
  const firewalled = aPort({ publishedPort: 82, door: '169.254.77.128' })
  const some = aNetworkState({
    endpoints: [anEndpoint({ ports: [aPort(), bound, firewalled] })],
  })
  t.same(
    hostTable(some)
      .sets.slice(0, 3)
      .map((set) => set.elements),
    [['tcp . 8080'], ['tcp . 82'], ['10.0.0.5 . tcp . 81 : 169.254.77.4']],
  )
})

t.test('only who switched forwarding on drops what is not its own', async (t) => {
  const drop = /^ {4}meta nfproto ipv4 drop$/m
  t.match(hostTable(aNetworkState({ forwardingIsOurs: true })).chains, drop)
  t.notMatch(hostTable(aNetworkState({ forwardingIsOurs: false })).chains, drop)
})

t.test('the script replaces the whole table in one transaction', async (t) => {
  const script = tableScript(
    hostTable(aNetworkState({ endpoints: [anEndpoint({ ports: [bound] })] })),
  )
  t.match(script, /^table inet tsswarm\ndelete table inet tsswarm\ntable inet tsswarm \{\n/)
  t.match(script, 'elements = { 10.0.0.5 . tcp . 81 : 169.254.77.4 }')
  t.notMatch(script, /elements = \{ {2}\}/)
  t.equal(script.split('{').length, script.split('}').length)
})
