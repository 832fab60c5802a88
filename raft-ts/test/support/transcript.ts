// Runs a script of commands against nodes in memory and writes down every effect as text.
// A script is lines beginning with `> `; `#` lines are kept; all else is output, made anew.
// `> quietly ...` leaves its output out; `> pass N` is N ticks of every node, each with all that follows.
import type { ConfChangeStep, ConfState, Message, NodeId, RaftTuning, Ready } from 'raft-ts'
import { drawOf, foundedDisk, Peer, type PeerOptions, textOf } from './cluster.ts'

/** The script with the effects of each command below it. */
export function runTranscript(text: string): string {
  const run = new Run()
  const lines: string[] = []
  for (const line of text.split('\n')) {
    if (line.startsWith('#')) lines.push(line)
    if (!line.startsWith('> ')) continue
    lines.push('', line)
    lines.push(...run.command(line.slice(2).trim()).map((output) => `  ${output}`))
  }
  return `${lines.join('\n').trim()}\n`
}

class Run {
  readonly #peers = new Map<NodeId, Peer>()
  readonly #unflushed = new Map<NodeId, Ready[]>()
  readonly #priorities = new Map<NodeId, number>()
  #tuning: Partial<RaftTuning> = {}
  #queue: Message[] = []
  #lines: string[] = []

  command(line: string): readonly string[] {
    this.#lines = []
    const [name = '', ...args] = line.split(' ')
    if (name !== 'quietly') {
      this.#dispatch(name, args)
      return this.#lines
    }
    this.#dispatch(args[0] ?? '', args.slice(1))
    return []
  }

  get #options(): PeerOptions {
    return { tuning: this.#tuning, priorityOf: (id) => this.#priorities.get(id) ?? 0 }
  }

  #dispatch(name: string, args: readonly string[]): void {
    const [id = '', arg = ''] = args
    if (name === 'found') for (const founder of args) this.#found(founder, args)
    else if (name === 'join') this.#peers.set(id, new Peer(id, this.#options))
    else if (name === 'bound') this.#tuning = { pendingBytesMax: Number(id) }
    else if (name === 'tick') for (let i = 0; i < Number(arg || 1); i++) this.#peer(id).node.tick()
    else if (name === 'campaign') this.#peer(id).node.campaign()
    else if (name === 'propose') this.#print(`${JSON.stringify(this.#peer(id).propose(arg))}`)
    else if (name === 'read') this.#print(this.#peer(id).node.readIndex(BigInt(arg)).kind)
    else if (name === 'transfer') this.#peer(id).node.transferLeadership(arg)
    else if (name === 'abort') this.#print(`${this.#peer(id).node.abortTransfer()}`)
    else if (name === 'prefer') this.#priorities.set(id, Number(arg))
    else if (name === 'change') this.#change(id, args.slice(1))
    else if (name === 'ready') this.#ready(id)
    else if (name === 'flush') this.#flush(id)
    else if (name === 'run') this.#run(id)
    else if (name === 'deliver') this.#deliver(id, true)
    else if (name === 'drop') this.#deliver(id, false)
    else if (name === 'settle') this.#settle()
    else if (name === 'pass') this.#pass(Number(id))
    else if (name === 'status') this.#status(id)
    else throw new Error(`unknown command: ${name}`)
  }

  #print(line: string): void {
    this.#lines.push(line)
  }

  #peer(id: NodeId): Peer {
    const peer = this.#peers.get(id)
    if (peer === undefined) throw new Error(`no node ${id}`)
    return peer
  }

  #found(id: NodeId, founders: readonly NodeId[]): void {
    const peer = new Peer(id, {
      disk: foundedDisk(founders),
      // Time-outs of 10, 11, 12 ... ticks.
      random: () => drawOf(founders.indexOf(id) / 10),
      ...this.#options,
    })
    peer.pump()
    this.#peers.set(id, peer)
  }

  #change(id: NodeId, steps: readonly string[]): void {
    const kinds: Readonly<Record<string, ConfChangeStep['kind']>> = {
      '+': 'add-voter',
      '~': 'add-learner',
      '-': 'remove',
    }
    const result = this.#peer(id).node.proposeConfChange({
      steps: steps.map((step) => ({ kind: kinds[step[0] ?? ''] ?? 'remove', id: step.slice(1) })),
    })
    this.#print(JSON.stringify(result))
  }

  #ready(id: NodeId): void {
    const peer = this.#peer(id)
    if (!peer.node.hasReady()) return
    const ready = peer.take()
    this.#unflushed.set(id, [...(this.#unflushed.get(id) ?? []), ready])
    for (const line of showReady(id, ready)) this.#print(line)
    this.#queue.push(...ready.messages)
  }

  #flush(id: NodeId): void {
    const readies = this.#unflushed.get(id) ?? []
    if (readies.some((ready) => ready.mustFlush)) this.#print(`${id} flushed`)
    this.#unflushed.delete(id)
    for (const message of this.#peer(id).flush()) {
      this.#print(`${id} sends ${showMessage(message)}`)
      this.#queue.push(message)
    }
  }

  #run(id: NodeId): void {
    while (this.#peer(id).node.hasReady()) {
      this.#ready(id)
      this.#flush(id)
    }
  }

  /** Way `a>b`, or all. */
  #deliver(way: string, arrives: boolean): void {
    const isMeant = (message: Message): boolean =>
      way === '' || way === `${message.from}>${message.to}`
    const meant = this.#queue.filter(isMeant)
    this.#queue = this.#queue.filter((message) => !isMeant(message))
    for (const message of meant) {
      this.#print(`${message.from}>${message.to} ${message.kind}${arrives ? '' : ' is lost'}`)
      if (arrives) this.#peers.get(message.to)?.node.step(message)
    }
  }

  #pass(ticks: number): void {
    for (let i = 0; i < ticks; i++) {
      for (const peer of this.#peers.values()) peer.node.tick()
      this.#settle()
    }
  }

  #settle(): void {
    for (let round = 0; round < 100; round++) {
      for (const id of this.#peers.keys()) this.#run(id)
      if (this.#queue.length === 0) return
      this.#deliver('', true)
    }
    throw new Error('never comes to rest')
  }

  #status(id: NodeId): void {
    const { role, term, vote, leader, commit, lastIndex, stable, conf, peers } =
      this.#peer(id).node.status()
    this.#print(`${role} term=${term} vote=${vote ?? '-'} leader=${leader ?? '-'}`)
    this.#print(`commit=${commit} last=${lastIndex} stable=${stable} ${showConf(conf)}`)
    for (const peer of peers) {
      this.#print(`${peer.id}: ${peer.state} match=${peer.match} next=${peer.next}`)
    }
  }
}

function showReady(id: NodeId, ready: Ready): readonly string[] {
  const lines: string[] = []
  const { softState, hardState, snapshot } = ready
  for (const { kind, facts } of ready.notes) lines.push(`note ${kind} ${JSON.stringify(facts)}`)
  if (softState) lines.push(`is ${softState.role}, leader ${softState.leader ?? '-'}`)
  if (hardState) {
    const { term, vote, commit } = hardState
    lines.push(`keeps term=${term} vote=${vote ?? '-'} commit=${commit}`)
  }
  if (snapshot) lines.push(`installs snapshot ${snapshot.index}.${snapshot.term}`)
  for (const entry of ready.entries) lines.push(`appends ${showEntry(entry)}`)
  for (const message of ready.messages) lines.push(`sends ${showMessage(message)}`)
  for (const message of ready.messagesAfterPersist) {
    lines.push(`after flush: ${showMessage(message)}`)
  }
  for (const entry of ready.committedEntries) lines.push(`applies ${showEntry(entry)}`)
  for (const { context, index } of ready.readStates) lines.push(`reads ${context} at ${index}`)
  for (const context of ready.abortedReads) lines.push(`gives up read ${context}`)
  if (ready.mustFlush) lines.push('must flush')
  return lines.map((line) => `${id} ${line}`)
}

function showEntry(entry: Ready['entries'][number]): string {
  const at = `${entry.index}.${entry.term}`
  return entry.kind === 'data' ? `${at} "${textOf(entry.data)}"` : `${at} ${showConf(entry.conf)}`
}

function showConf(conf: ConfState): string {
  const parts = [`voters=${conf.voters.join()}`]
  if (conf.outgoing.length > 0) parts.push(`outgoing=${conf.outgoing.join()}`)
  if (conf.learners.length > 0) parts.push(`learners=${conf.learners.join()}`)
  if (conf.learnersNext.length > 0) parts.push(`learnersNext=${conf.learnersNext.join()}`)
  return parts.join(' ')
}

function showMessage(message: Message): string {
  const { kind, from, to, term, ...rest } = message
  const facts = Object.entries(rest).map(([key, value]) => {
    if (key === 'entries')
      return `entries=[${(value as Ready['entries']).map(showEntry).join('; ')}]`
    return `${key}=${typeof value === 'object' ? JSON.stringify(value) : String(value)}`
  })
  return [`${from}>${to}`, kind, `term=${term}`, ...facts].join(' ')
}
