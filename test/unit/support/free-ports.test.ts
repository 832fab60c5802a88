import { execFile } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { createServer } from 'node:net'
import { promisify } from 'node:util'
import t from 'tap'
import { freeAddress, freePort, freePorts, portsOutside } from '../../support/free-ports.ts'

t.test("the ports are chosen outside of the kernel's own range", async (t) => {
  t.same(portsOutside('32768\t60999\n'), { from: 10_000, to: 32_767 })
  t.same(portsOutside('10500 30000'), { from: 30_001, to: 65_535 })
  t.same(portsOutside('1024 9000'), { from: 10_000, to: 65_535 })
  t.same(portsOutside('1024 65535'), { from: 10_000, to: 65_535 }, 'nothing is left outside')
  t.same(portsOutside('10100 65535'), { from: 10_000, to: 65_535 }, 'too few are left outside')
})

t.test('what is given is free, and none is given twice', async (t) => {
  const ports = await freePorts(20)
  t.equal(new Set(ports).size, 20)
  for (const port of ports) {
    const tcp = createServer()
    await new Promise<void>((resolve) => tcp.listen(port, resolve))
    await new Promise((resolve) => tcp.close(resolve))
    const udp = createSocket('udp4')
    await new Promise<void>((resolve) => udp.bind(port, resolve))
    await new Promise<void>((resolve) => udp.close(resolve))
  }
  t.match(await freeAddress(), /^127\.0\.0\.1:\d{5}$/)
})

t.test('neither to another process', async (t) => {
  const [port = 0] = await freePorts(1)
  const claim = `require('node:net').createServer().on('error', (err) => console.log(err.code))
    .listen('\\0tsswarm-test-port-${port}', () => process.exit())`
  const { stdout } = await promisify(execFile)(process.execPath, ['-e', claim])
  t.equal(stdout, 'EADDRINUSE\n')
})

t.test('those above it are as free', async (t) => {
  const port = await freePort([1, 7])
  for (const above of [0, 1, 7]) {
    const tcp = createServer()
    await new Promise<void>((resolve) => tcp.listen(port + above, resolve))
    t.teardown(() => tcp.close())
  }
  await t.rejects(freePort([60_000]), { message: /no free port from \d+ to \d+ in 1000 tries/ })
})
