import { createSocket } from 'node:dgram'
import { type AddressInfo, createServer, type Server } from 'node:net'
import t from 'tap'
import { isListening, sctpPorts } from '../../../worker/listening-ports.ts'

function listening(host: string): Promise<{ readonly server: Server; readonly port: number }> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, host, () => {
      resolve({ server, port: (server.address() as AddressInfo).port })
    })
  })
}

t.test('ports that are waited on are told from those that are not', async (t) => {
  const four = await listening('127.0.0.1')
  const six = await listening('::1')
  const udp = createSocket('udp4')
  await new Promise<void>((resolve) => udp.bind(0, '127.0.0.1', resolve))
  t.teardown(() => {
    four.server.close()
    six.server.close()
    udp.close()
  })
  const ports = [
    { protocol: 'tcp', targetPort: four.port },
    { protocol: 'tcp', targetPort: six.port },
    { protocol: 'udp', targetPort: udp.address().port },
  ] as const
  t.equal(await isListening(process.pid, ports), true)
  t.equal(await isListening(process.pid, []), true)
  await new Promise((resolve) => four.server.close(resolve))
  t.equal(await isListening(process.pid, ports), false)
  t.equal(await isListening(process.pid, [{ protocol: 'sctp', targetPort: 9 }]), false)
})

t.test('endpoints of SCTP wait when they are in the state for it', async (t) => {
  const text = [
    ' ENDPT     SOCK   STY SST HBKT LPORT   UID INODE LADDRS',
    '       0        0 2   10  12   7777      0 84231 0.0.0.0 ',
    '       0        0 0   10  40   99       33 84232 10.1.0.5 172.30.0.1 ',
    '       0        0 2   7   41   100       0 84233 0.0.0.0 ',
    '',
  ].join('\n')
  t.same([...sctpPorts(text)], [7777, 99])
  t.same([...sctpPorts('')], [])
})

t.test('a process that is gone waits on nothing', async (t) => {
  t.equal(await isListening(2 ** 22 + 1, [{ protocol: 'tcp', targetPort: 80 }]), false)
})
