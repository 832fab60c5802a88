// What the daemon tells systemd when it is started as a unit of Type=notify (sd_notify(3)). Node opens no datagram sockets of
// the unix domain, so the message is sent by systemd's own program.
import type { RunCommand } from '../../proto/lib/command.ts'
import type { Logger } from '../../proto/lib/log.ts'

export interface ServiceManager {
  /** The unit counts as started; `status` is shown by `systemctl status`. */
  ready(status: string): Promise<void>
  stopping(): Promise<void>
}

/**
 * Takes the socket out of the environment: runtimes hand it on to containers otherwise. Without one nothing is told; a message
 * that cannot be sent is a warning.
 */
export function takeServiceManager(
  env: Record<string, string | undefined>,
  run: RunCommand,
  log: Logger,
): ServiceManager {
  const socket = env['NOTIFY_SOCKET']
  delete env['NOTIFY_SOCKET']
  if (socket === undefined || socket === '') {
    return { ready: async () => {}, stopping: async () => {} }
  }
  const tell = async (words: readonly string[]): Promise<void> => {
    const { PATH = '' } = env
    const argv = ['systemd-notify', ...words]
    const { code, stderr } = await run(argv, { env: { PATH, NOTIFY_SOCKET: socket } })
    if (code !== 0) log.warn({ err: stderr.trim() }, 'systemd could not be told')
  }
  return {
    ready: (status) => tell(['--ready', `--status=${status}`]),
    // There is no flag for it before systemd 254.
    stopping: () => tell(['STOPPING=1']),
  }
}
