// How the checks of requirements.ts look at this host. An interface, so that tests can describe any host.
import { constants } from 'node:fs'
import { access, readFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { type RunCommand, runCommand } from '../../proto/lib/command.ts'

export interface HostProbes {
  /** `linux`, `darwin` … */
  readonly platform: string
  /** Version of Node.js: `20.19.4`. */
  readonly nodeVersion: string
  /** 0 is root. */
  readonly userId: number
  readonly run: RunCommand
  /** Undefined when it cannot be read. */
  readonly read: (file: string) => Promise<string | undefined>
  /** Path of a program of PATH, or undefined. */
  readonly find: (program: string) => Promise<string | undefined>
}

/** This very host. */
export function systemProbes(): HostProbes {
  return {
    platform: process.platform,
    nodeVersion: process.versions.node,
    userId: process.getuid?.() ?? -1,
    // A host is not unfit because it is slow: the first try loads modules of the kernel.
    run: (argv, options) => runCommand(argv, { timeoutMs: 60_000, ...options }),
    read: async (file) => {
      try {
        return await readFile(file, 'utf8')
      } catch {
        return undefined
      }
    },
    find: (program) => findProgram(program, (process.env.PATH ?? '').split(delimiter)),
  }
}

async function findProgram(
  program: string,
  directories: readonly string[],
): Promise<string | undefined> {
  for (const directory of directories) {
    const file = join(directory, program)
    try {
      await access(file, constants.X_OK)
      return file
    } catch {
      // The next directory may have it.
    }
  }
  return undefined
}
