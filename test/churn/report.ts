// What a run tells people, and whether it shows what it must.
import type { Heal } from './kernels.ts'
import type { RunResult } from './run.ts'

/** After each heal all kernels are right within this, on a machine that has nothing else to do. */
export const healMs = 2_000

/** What is wrong with the run; none: it shows what it must. */
export function faultsOf(result: RunResult): readonly string[] {
  return [
    ...result.heals.filter(isLate).map((heal) => `late: ${healText(heal)}`),
    ...result.wrong.map((text) => `wrong: ${text}`),
    ...result.fallen.map((host) => `the daemon of ${host} ended by itself`),
    ...result.silent.map((text) => `no answer at the end: ${text}`),
  ]
}

/** A machine with more to do than it has processors for is given so many times as long. */
function isLate({ tookMs, load }: Heal): boolean {
  return tookMs === undefined || tookMs > healMs * load
}

function healText({ what, tookMs, load, last }: Heal): string {
  const took = tookMs === undefined ? 'never whole' : `${tookMs} ms`
  return `${what}: ${took} at load ${load.toFixed(1)}; ${last.slice(0, 5).join(', ')}`
}

export function reportOf(result: RunResult): string {
  const { heals, seconds } = result
  const took = (list: readonly Heal[]): string => {
    const times = list.map(({ tookMs }) => tookMs ?? Number.POSITIVE_INFINITY).sort((a, b) => a - b)
    const at = (part: number): number => times[Math.floor((times.length - 1) * part)] ?? 0
    return `${times.length} times: median ${at(0.5)} ms, longest ${at(1)} ms`
  }
  const cuts = heals.filter(({ what }) => what.startsWith('partition'))
  const loads = heals.map(({ load }) => load).sort((a, b) => a - b)
  return [
    `seed        ${result.seed}`,
    `time        ${seconds.toFixed(0)} s, of which ${result.setUpSeconds.toFixed(0)} to set up`,
    `lives       ${result.lives} tasks with addresses, at most ${result.aliveMax} containers at once, ${result.changes} changes`,
    `reuse       an address was given to a second holder ${result.reused} times`,
    `faults      ${result.partitions} partitions, ${result.rows} lost rows (${result.rowsMissed} missed at once), ${heals.length} faults in all`,
    `partitions  ${took(cuts)}`,
    `all heals   ${took(heals)}`,
    `load        ${(loads[0] ?? 1).toFixed(1)} to ${(loads.at(-1) ?? 1).toFixed(1)} runnable threads a processor`,
    `payloads    ${result.sent} sent, ${result.judged} arrivals judged, ${result.wrong.length} wrong`,
    // A daemon that is killed while it makes a container may fail the task; another takes its place.
    `failures    ${result.broken.length} tasks failed${result.broken.length > 0 ? `: ${result.broken.slice(0, 3).join('; ')}` : ''}`,
    `last sweep  ${result.swept - result.silent.length} of ${result.swept} answers`,
  ].join('\n')
}
