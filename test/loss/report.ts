// What a run tells people, a line each.
import type { GeneratorResult } from './generator.ts'
import type { HostLossResult, Loss } from './host-loss.ts'
import type { StepResult } from './run.ts'

export function stepLine({ name, seconds, sent, failed, retried, causes }: StepResult): string {
  const counts = `${sent} sent, ${failed} failed, ${retried} retried`
  const why = failed === 0 ? '' : ` (${textOf(causes)})`
  return `${name.padEnd(34)} ${seconds.toFixed(1).padStart(7)} s  ${counts}${why}`
}

/** Rates as they were reached. */
export function clientLines(client: GeneratorResult): readonly string[] {
  const { name, sent, answered, seconds, cpuMs, failed, retried, closes, slowestMs } = client
  const kinds = (['fresh', 'slow', 'kept'] as const).map(
    (kind) => `${answered[kind]} of ${sent[kind]} ${kind} (${(sent[kind] / seconds).toFixed(1)}/s)`,
  )
  return [
    `through ${name}: answered ${kinds.join(', ')}`,
    `  failed ${textOf(failed)}; retried ${textOf(retried)}`,
    `  kept connections ended: ${closes.asked} as the server asked, ${closes.idle} while idle`,
    `  slowest of the fresh ${slowestMs.toFixed(0)} ms; ${client.servers} servers answered; CPU ${(cpuMs / 10 / seconds).toFixed(0)} % of a core`,
  ]
}

export function lossLine(loss: Loss, result: HostLossResult): string {
  const { host, sent, failed, lastFailureMs, downMs, replacedMs } = result
  const times = [
    `last failing connection begun after ${lastFailureMs.toFixed(0)} ms`,
    `down after ${downMs.toFixed(0)} ms`,
    `replaced after ${replacedMs.toFixed(0)} ms`,
  ]
  return `${loss} (${host}): ${sent} sent, ${failed} failed; ${times.join(', ')}`
}

/** Failed connections of each way in, by the second after the loss in which they began and by cause. */
export function failureLines({ clients, lostAtMs }: HostLossResult): readonly string[] {
  return clients.flatMap(({ name, failures }) => {
    const counts: Record<string, number> = {}
    for (const { startedAtMs, cause } of failures) {
      const key = `in second ${Math.floor((startedAtMs - lostAtMs) / 1000)}: ${cause}`
      counts[key] = (counts[key] ?? 0) + 1
    }
    return failures.length === 0 ? [] : [`  ${name}: ${textOf(counts)}`]
  })
}

function textOf(counts: Readonly<Record<string, number>>): string {
  const all = Object.entries(counts).map(([cause, n]) => `${n} ${cause}`)
  return all.length === 0 ? '0' : all.join(', ')
}
