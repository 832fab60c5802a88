// Every command of the one program, each loaded only when it is run. Not their contents.
import type { Command } from './command.ts'

export type Loader = () => Promise<Command>

export interface CommandGroup {
  readonly name: string
  readonly summary: string
  readonly commands: Readonly<Record<string, Loader>>
  /** Other words for a command of the group. */
  readonly aliases: Readonly<Record<string, string>>
}

export interface PlainCommand {
  readonly name: string
  readonly summary: string
  readonly load: Loader
}

export const groups: readonly CommandGroup[] = []

export const plainCommands: readonly PlainCommand[] = []
