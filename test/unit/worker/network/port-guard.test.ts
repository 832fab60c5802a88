import t from 'tap'
import type { CommandResult } from '../../../../proto/lib/command.ts'
import { silentLogger } from '../../../../proto/lib/log.ts'
import type { NodeCondition } from '../../../../proto/objects/index.ts'
import type { PortClaim } from '../../../../worker/network/port-claims.ts'
import { PortGuard } from '../../../../worker/network/port-guard.ts'

const claim = (port: number): PortClaim => ({
  protocol: 'tcp',
  port,
  bindAddress: '',
  hasIpv6: false,
  owner: 'service "web"',
  isOpen: false,
})

/** A host with these sockets; undefined: it does not answer. */
class Host {
  sockets: readonly (readonly [port: number, program: string])[] | undefined = []
  fails = false
  asked = 0
  told: readonly NodeCondition[] = []
  readonly guard = new PortGuard({
    kernel: { run: (_, argv) => this.#run(argv) },
    log: silentLogger,
    onConditions: (conditions) => {
      this.told = conditions
    },
  })

  async #run(argv: readonly string[]): Promise<CommandResult> {
    this.asked += 1
    if (this.fails) throw new Error('no answer')
    if (this.sockets === undefined) return { code: 1, stdout: '', stderr: 'no ss' }
    const lines = this.sockets.map(([port, program]) => {
      const users = argv.includes('-p') ? `users:(("${program}",pid=9,fd=3))` : ''
      return `tcp LISTEN 0 5 *:${port} *:* ${users}\n`
    })
    return { code: 0, stdout: lines.join(''), stderr: '' }
  }

  codes(): readonly string[] {
    return this.told.map(({ code }) => code)
  }
}

t.test('a port that is taken is left alone until it is free', async (t) => {
  const host = new Host()
  host.sockets = [[80, 'nginx']]
  await host.guard.admit([claim(80), claim(81)])
  t.strictSame([...host.guard.blocked], ['tcp/80/'])
  t.match(host.told, [{ code: 'PORT_TAKEN', message: /nginx \(process 9\)/ }])
  const { blocked } = host.guard
  t.notOk(await host.guard.look([claim(80), claim(81)]), 'nothing new')
  t.equal(host.guard.blocked, blocked, 'the same set')
  host.sockets = []
  t.ok(await host.guard.look([claim(80), claim(81)]))
  t.equal(host.guard.blocked.size, 0)
  t.strictSame(host.guard.held, ['tcp/80/', 'tcp/81/'])
  t.strictSame(host.codes(), [])
})

t.test('the host is asked for a new port only', async (t) => {
  const host = new Host()
  await host.guard.admit([])
  t.equal(host.asked, 0)
  await host.guard.admit([claim(80)])
  await host.guard.admit([claim(80), { ...claim(9), isOpen: true }])
  t.equal(host.asked, 1)
  await host.guard.admit([claim(80), claim(81)])
  t.equal(host.asked, 2)
})

t.test('a program that comes later is told of when it stays', async (t) => {
  const host = new Host()
  host.guard.restore(['tcp/80/'])
  host.sockets = [[80, 'late']]
  await host.guard.admit([claim(80)])
  t.equal(host.asked, 0, 'an earlier daemon had it open')
  t.notOk(await host.guard.look([claim(80)]))
  t.strictSame(host.codes(), [], 'seen once')
  await host.guard.look([claim(80)])
  t.match(host.told, [{ code: 'PORT_SHADOWED', message: /late \(process 9\)/ }])
  host.sockets = []
  await host.guard.look([claim(80)])
  t.strictSame(host.codes(), [])
})

t.test('a host that does not answer changes nothing', async (t) => {
  const host = new Host()
  host.sockets = [[80, 'nginx']]
  await host.guard.look([claim(80)])
  host.sockets = undefined
  t.notOk(await host.guard.look([claim(80)]))
  host.fails = true
  t.notOk(await host.guard.look([claim(80)]))
  t.strictSame([...host.guard.blocked], ['tcp/80/'])
  t.strictSame(host.codes(), ['PORT_TAKEN'])
})

t.test('a port given up is forgotten', async (t) => {
  const host = new Host()
  host.sockets = [[80, 'nginx']]
  await host.guard.look([claim(80)])
  t.ok(await host.guard.look([]))
  t.equal(host.guard.blocked.size, 0)
  t.strictSame(host.codes(), [])
})
