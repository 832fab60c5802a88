// The flags before the command.
import { bool, type Flags, text } from './flags.ts'

export const defaultSocketPath = '/run/tsswarm/tsswarm.sock'

export const globalFlags = {
  host: text('Socket of the daemon', {
    short: 'H',
    shown: `${defaultSocketPath}, or TSSWARM_HOST`,
  }),
  version: bool('Print the version and quit', { short: 'v' }),
} satisfies Flags
