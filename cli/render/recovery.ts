// What a recovery from one manager kept, what it may have dropped, and what must not be done now.
import type { SwarmRecovery } from '../../proto/gen/tsswarm/v1/daemon.ts'

/** The whole text that `swarm init --force-new-cluster` prints. */
export function recoveryText(nodeId: string, recovery: SwarmRecovery): string {
  if (recovery.wasAlone) {
    return `Nothing to recover: node ${nodeId} is the only manager of its swarm, and leads it (epoch ${recovery.epoch}).\n`
  }
  return [
    `Swarm recovered: node ${nodeId} is its only manager now (epoch ${recovery.epoch}).`,
    keptText(recovery),
    'Dropped: whatever only the lost managers knew. Changes that were under way when they were lost may have been made or not: ' +
      'look with "tsswarm service ls".',
    lostText(recovery),
    'The lost managers must not be started with their old state: one alone becomes a worker here, but more than half of them ' +
      'together would go on with the swarm of before. Where one comes back, run "tsswarm swarm leave --force" and join ' +
      'it anew; then remove its old entry with "tsswarm node rm NODE".',
    "To add a manager, run 'tsswarm swarm join-token manager' and follow the instructions, or promote a worker with " +
      '"tsswarm node promote NODE".',
  ]
    .map((paragraph) => `${paragraph}\n`)
    .join('\n')
}

function keptText({ services, tasks, nodes, newestAtMs }: SwarmRecovery): string {
  const until = newestAtMs === 0 ? '' : `, with changes up to ${new Date(newestAtMs).toISOString()}`
  const counts = `${counted(services, 'service')}, ${counted(tasks, 'task')}, ${counted(nodes, 'node')}`
  return `Kept: ${counts}, all settings, tokens and certificates${until}. No container was restarted.`
}

function lostText({ lost }: SwarmRecovery): string {
  if (lost.length === 0) return 'No other manager was known.'
  const names = lost.map(({ nodeId, hostname }) =>
    hostname === '' ? nodeId : `${hostname} (${nodeId})`,
  )
  return `Lost managers, now workers that are down, whose tasks are replaced: ${names.join(', ')}.`
}

function counted(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? '' : 's'}`
}
