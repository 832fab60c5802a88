// tsswarm version

import { hasCode } from '../../proto/errors.ts'
import { DaemonService } from '../../proto/gen/tsswarm/v1/daemon.ts'
import { version } from '../../proto/version.ts'
import { defineCommand, noArguments } from '../command.ts'
import { text } from '../flags.ts'
import { renderInspectOne } from '../render/inspect-format.ts'

export const command = defineCommand({
  name: 'version',
  summary: 'Show the versions of this program and of the daemon',
  args: noArguments,
  flags: { format: text("Format output: 'json', or a Go template", { short: 'f' }) },
  examples: [
    { what: 'Both', command: 'tsswarm version' },
    { what: "The daemon's", command: "tsswarm version --format '{{.Server.Version}}'" },
  ],
  run: async (ctx, { flags }) => {
    const client = { Version: version, NodeVersion: process.versions.node, Arch: process.arch }
    let daemon: string | undefined
    try {
      daemon = (await (await ctx.connect()).call(DaemonService.info, {}, { retry: false })).version
    } catch (err) {
      if (!hasCode(err, 'DAEMON_NOT_RUNNING', 'PERMISSION_DENIED')) throw err
      ctx.stderr.write(`Error: ${err.message}\n`)
    }
    if (flags.format !== undefined) {
      const all = {
        Client: client,
        ...(daemon === undefined ? {} : { Server: { Version: daemon } }),
      }
      ctx.stdout.write(renderInspectOne(all, flags.format))
    } else {
      ctx.stdout.write(
        `Client:\n Version:    ${client.Version}\n Node:       ${client.NodeVersion}\n OS/Arch:    linux/${client.Arch}\n`,
      )
      if (daemon !== undefined) ctx.stdout.write(`\nServer:\n Version:    ${daemon}\n`)
    }
    return daemon === undefined ? 1 : 0
  },
})
