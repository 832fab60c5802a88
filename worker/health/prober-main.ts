// A process in the data plane that asks containers over the network how they are, for the daemon: a socket belongs to the
// namespace of the process that makes it, and one process a node is less than one a probe. Ends with the daemon.
import { askNetwork, type NetworkQuestion } from './ask-network.ts'

interface Asked {
  readonly id: number
  readonly question: NetworkQuestion
}

process.on('message', ({ id, question }: Asked) => {
  void askNetwork(question).then((answer) =>
    process.send?.({ id, answer }, undefined, {}, () => {}),
  )
})
process.on('disconnect', () => process.exit(0))
// Signals of a terminal concern the daemon.
process.on('SIGINT', () => {})
process.on('SIGHUP', () => {})
