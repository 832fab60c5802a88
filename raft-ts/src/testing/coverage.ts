// What a simulation reached: events worth having, counted, so that nobody trusts runs in which nothing happened.

/** All that is counted. Crashes by moment are those that were aimed at it. */
export const coverageNames = [
  'electionsWon',
  'electionsLost',
  'preVotesLost',
  'stepDowns',
  'quorumsLost',
  'crashes',
  'crashesOfLeader',
  'crashesAfterAppend',
  'crashesAfterFlushIssued',
  'crashesAfterFlush',
  'crashesDuringRename',
  'crashesAfterSend',
  'crashesAmidSnapshot',
  'leadersAmbushed',
  'processesStopped',
  'unflushedWritesLost',
  'tornTailsCut',
  'disksFailed',
  'disksRotted',
  'rotRepaired',
  'truncations',
  'commitsOfEarlierTerms',
  'changesCommitted',
  'changesRolledBack',
  'changesUnderWayAtCrash',
  'jointsLeftByAnotherLeader',
  'membersJoined',
  'votersCaughtUp',
  'additionsFailed',
  'snapshotsSent',
  'snapshotsInstalled',
  'snapshotsInterrupted',
  'transfersDone',
  'transfersFailed',
  'transfersAborted',
  'handOversByPriority',
  'readsByFollowers',
  'answersBusy',
  'answersLost',
  'clustersForcedNew',
] as const

/** One of them. */
export type CoverageName = (typeof coverageNames)[number]

/** How often each happened. */
export type Coverage = Readonly<Record<CoverageName, number>>

/** Counts of one run, or of many. */
export class CoverageCounts {
  readonly #counts = new Map<CoverageName, number>()

  count(name: CoverageName): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1)
  }

  addAll(coverage: Coverage): void {
    for (const name of coverageNames) {
      this.#counts.set(name, (this.#counts.get(name) ?? 0) + coverage[name])
    }
  }

  /** A copy; what never happened is 0. */
  counts(): Coverage {
    const all = coverageNames.map((name) => [name, this.#counts.get(name) ?? 0] as const)
    return Object.fromEntries(all) as Record<CoverageName, number>
  }
}
