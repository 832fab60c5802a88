// What systemd is told, and that containers never see its socket.
import t from 'tap'
import { takeServiceManager } from '../../../../cli/daemon/service-manager.ts'
import type { CommandResult, RunCommand } from '../../../../proto/lib/command.ts'
import { silentLogger } from '../../../../proto/lib/log.ts'

function aWorld(code = 0) {
  const sent: (readonly string[])[] = []
  const warned: object[] = []
  const run: RunCommand = async (argv, options): Promise<CommandResult> => {
    sent.push([...argv, `to ${options?.env?.['NOTIFY_SOCKET']}`])
    return { code, stdout: '', stderr: 'no such program\n' }
  }
  const log = { ...silentLogger, warn: (fields: object) => warned.push(fields) }
  return { sent, warned, run, log }
}

t.test('the socket is taken out of the environment, and used', async (t) => {
  const { sent, warned, run, log } = aWorld()
  const env = { NOTIFY_SOCKET: '/run/systemd/notify', PATH: '/bin' }
  const manager = takeServiceManager(env, run, log)
  t.same(env, { PATH: '/bin' })
  await manager.ready('serves')
  await manager.stopping()
  t.same(sent, [
    ['systemd-notify', '--ready', '--status=serves', 'to /run/systemd/notify'],
    ['systemd-notify', 'STOPPING=1', 'to /run/systemd/notify'],
  ])
  t.same(warned, [])
})

t.test('without a socket nothing is told, and what fails is a warning', async (t) => {
  const quiet = aWorld()
  const alone = takeServiceManager({ NOTIFY_SOCKET: '' }, quiet.run, quiet.log)
  await alone.ready('x')
  await alone.stopping()
  t.same(quiet.sent, [])
  const { warned, run, log } = aWorld(1)
  await takeServiceManager({ NOTIFY_SOCKET: '@x' }, run, log).ready('x')
  t.same(warned, [{ err: 'no such program' }])
})
