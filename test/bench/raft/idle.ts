// What idle groups cost: ticks alone, and ticks with the heartbeats of three members over an in-memory transport.
import { BenchChild } from './child.ts'
import type { IdleAnswer, IdleQuestion } from './idle-process.ts'
import { inDirectory } from './log-alone.ts'
import { rounded } from './rounds.ts'

const goalPercent = 2

export interface IdleFigure {
  readonly what: string
  readonly drivers: number
  readonly seconds: number
  /** Of one core, the whole process: an empty one costs nothing that could be measured. */
  readonly corePercent: number
  /** For one member of each of 100 groups, as one machine would hold them. */
  readonly corePercentOf100: number
  readonly goalPercent: number | undefined
}

/** Takes twice `ms` and some seconds more. */
export async function benchIdle(ms: number): Promise<readonly IdleFigure[]> {
  return [
    await idle('ticks alone: 100 groups of one member', 1, ms),
    await idle('with heartbeats: 100 groups of three members, all in one process', 3, ms),
  ]
}

async function idle(what: string, membersPerGroup: number, ms: number): Promise<IdleFigure> {
  const groups = 100
  const answer = await inDirectory(async (directory) => {
    const child = new BenchChild('idle-process.js')
    try {
      const question: IdleQuestion = { directory, groups, membersPerGroup, ms }
      return await child.ask<IdleAnswer>(question)
    } finally {
      await child.end()
    }
  })
  if (answer.leaders !== groups) throw new Error(`${what}: ${answer.leaders} groups are led`)
  const corePercent = (100 * answer.cpuMs) / answer.ms
  return {
    what,
    drivers: groups * membersPerGroup,
    seconds: Math.round(answer.ms / 1000),
    corePercent: rounded(corePercent),
    corePercentOf100: rounded(corePercent / membersPerGroup),
    goalPercent,
  }
}
