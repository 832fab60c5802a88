import t from 'tap'
import { serviceId } from '../../../../proto/objects/index.ts'
import type { ListeningSocket } from '../../../../worker/network/listening-sockets.ts'
import {
  claimConditions,
  claimKey,
  judgeClaims,
  type PortClaim,
} from '../../../../worker/network/port-claims.ts'

const aClaim = (claim: Partial<PortClaim> = {}): PortClaim => ({
  protocol: 'tcp',
  port: 8080,
  bindAddress: '',
  hasIpv6: false,
  owner: 'service "web"',
  serviceId: serviceId('s1'),
  isOpen: false,
  ...claim,
})

const aSocket = (socket: Partial<ListeningSocket> = {}): ListeningSocket => ({
  protocol: 'tcp',
  port: 8080,
  address: undefined,
  ...socket,
})

const none: ReadonlySet<string> = new Set()

function outcome(claim: PortClaim, socket: ListeningSocket, held = none): string {
  const { blocked, shadowed } = judgeClaims([claim], [socket], held)
  if (blocked.size > 0) return 'blocked'
  return shadowed.size > 0 ? 'shadowed' : 'free'
}

t.test('who was there first has the port', async (t) => {
  const key = claimKey(aClaim())
  t.equal(outcome(aClaim(), aSocket()), 'blocked')
  t.equal(outcome(aClaim(), aSocket(), new Set([key])), 'shadowed')
  t.equal(outcome(aClaim({ isOpen: true }), aSocket()), 'shadowed', 'a port in host mode is open')
  const other = new Set([claimKey(aClaim({ bindAddress: '10.0.0.5' }))])
  t.equal(outcome(aClaim(), aSocket(), other), 'blocked', 'another address is another port')
})

t.test('what is held is what was open, and what nobody else waits on', async (t) => {
  const claims = [aClaim(), aClaim({ port: 81 }), aClaim({ port: 82 })]
  const { held } = judgeClaims(claims, [aSocket(), aSocket({ port: 81 })], new Set(['tcp/81/']))
  t.strictSame([...held], ['tcp/81/', 'tcp/82/'])
  t.strictSame([...judgeClaims([], [], held).held], [], 'ports that are given up are forgotten')
})

t.test('a socket stands in the way of a port on an address they share', async (t) => {
  const rows = [
    [{}, {}, 'blocked'],
    [{}, { address: '0.0.0.0' }, 'blocked'],
    [{}, { address: '127.0.0.53' }, 'blocked'],
    [{}, { address: '::' }, 'free'],
    [{ hasIpv6: true }, { address: '::' }, 'blocked'],
    [{ hasIpv6: true }, { address: 'fd00::5' }, 'blocked'],
    [{ hasIpv6: true }, { address: '::1' }, 'free'],
    [{ bindAddress: '10.0.0.5' }, {}, 'blocked'],
    [{ bindAddress: '10.0.0.5' }, { address: '0.0.0.0' }, 'blocked'],
    [{ bindAddress: '10.0.0.5' }, { address: '::' }, 'free'],
    [{ bindAddress: '10.0.0.5' }, { address: '10.0.0.5' }, 'blocked'],
    [{ bindAddress: '10.0.0.5' }, { address: '127.0.0.1' }, 'free'],
    [{ bindAddress: 'fd00::5' }, { address: '::' }, 'blocked'],
    [{ bindAddress: 'fd00::5' }, { address: '0.0.0.0' }, 'free'],
    [{ bindAddress: '0.0.0.0', hasIpv6: true }, { address: '127.0.0.1' }, 'blocked'],
    [{ bindAddress: '0.0.0.0', hasIpv6: true }, { address: 'fd00::5' }, 'free'],
    [{ bindAddress: '::' }, {}, 'blocked'],
    [{ bindAddress: '::' }, { address: '0.0.0.0' }, 'free'],
    [{}, { protocol: 'udp' }, 'free'],
    [{}, { port: 8081 }, 'free'],
  ] as const
  for (const [claim, socket, expected] of rows) {
    const what = `${JSON.stringify(claim)} and ${JSON.stringify(socket)}`
    t.equal(outcome(aClaim(claim), aSocket(socket)), expected, what)
  }
})

t.test('conditions name port, service, program and what to do', async (t) => {
  const claims = [aClaim(), aClaim({ port: 81, owner: 'container c1' })]
  const sockets = [aSocket({ process: { name: 'nginx', pid: 7 } }), aSocket({ port: 81 })]
  const verdict = judgeClaims(claims, sockets, new Set(['tcp/81/']))
  t.match(claimConditions(claims, verdict), [
    {
      code: 'PORT_TAKEN',
      message:
        /^port 8080\/tcp of service "web" is held by nginx \(process 7\) on all addresses: .* until/,
      serviceId: 's1',
    },
    {
      code: 'PORT_SHADOWED',
      message:
        /^port 81\/tcp is open for container c1, so a program that cannot be seen, .* another/,
    },
  ])
})
