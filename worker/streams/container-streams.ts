// What can be done in a container that runs, and seen of it. Types only: worker/executor/container has it for real. Not for
// how it gets there (stream-server.ts).
import type { Writable } from 'node:stream'
import type {
  AttachOpen,
  ContainerProcess,
  ExecOpen,
  TaskUsage,
  TerminalSize,
} from '../../proto/gen/tsswarm/v1/streams.ts'
import type { Owner } from '../../proto/lib/file-tree.ts'
import type { HeldPlace } from '../../proto/lib/rooted-files.ts'

export interface ExecEnd {
  /** 128 + n when signal n ended it; 126 and 127 when it could not be run or found. */
  readonly exitCode: number
  /** Why it was not run; empty: it was, and its own words say more. */
  readonly err: string
}

/** A program with its standard streams, to be read to their ends. */
export interface AttachedProgram {
  readonly input: Writable
  readonly output: AsyncIterable<Buffer>
  /** Absent with a terminal. */
  readonly errors: AsyncIterable<Buffer> | undefined
  /** Once its streams have ended too. */
  readonly ended: Promise<ExecEnd>
  /** Only with a terminal. */
  resize(size: TerminalSize): Promise<void>
  /** Errors: INVALID_ARGUMENT for an unknown name. */
  signal(name: string): void
  /** Hangs up, and kills it and what it started soon after. Resolves when it has ended. */
  hangUp(): Promise<void>
}

export interface OutputChunk {
  readonly stream: 'stdout' | 'stderr'
  readonly data: Uint8Array
}

/** The standard streams of a container's first process. */
export interface AttachedContainer extends Pick<AttachedProgram, 'input' | 'resize' | 'signal'> {
  /** It has a terminal. */
  readonly tty: boolean
  /** Its standard input is open. Else `input` takes nothing. */
  readonly hasInput: boolean
  /** Both outputs in order, from the call on; until the container has ended. */
  readonly output: AsyncIterable<OutputChunk>
  /** How the container ended. Errors: CANCELLED (let go before). */
  readonly ended: Promise<ExecEnd>
  /** Lets it go once it has what was sent to it, or does not take it for a second. */
  leave(): Promise<void>
  /** Lets it go; it runs on. Resolves when nothing of this is left. */
  hangUp(): Promise<void>
}

/** A place, and whose files are whose there. */
export interface ContainerPlace extends HeldPlace {
  /** Set where the container has users of its own. */
  readonly owners?: {
    /** As the container sees them. */
    readonly inside: (host: Owner) => Owner
    /** On this host. Errors: RootedError for one that cannot be. */
    readonly onHost: (inside: Owner) => Owner
  }
}

/** Of one container; all of it a sum since its start, but memory and pids. */
export type ContainerUsage = Omit<
  TaskUsage,
  'taskId' | 'taskName' | 'nodeHostname' | 'containerId' | 'err' | 'cpuPermille'
>

/** Errors of all: NOT_FOUND, FAILED_PRECONDITION (does not run), INTERNAL. */
export interface ContainerStreams {
  /** A new process in it. With `detach` it goes on by itself. Errors: INVALID_ARGUMENT (user, working directory). */
  exec(id: string, request: ExecOpen): Promise<AttachedProgram>
  /** Its own standard streams. */
  attach(id: string, request: AttachOpen): Promise<AttachedContainer>
  /** A place in its file system, walked without leaving it; its folder is to be closed. Errors: RootedError. */
  place(id: string, path: string, followLast: boolean): Promise<ContainerPlace>
  /** A connection to a port of its loopback address; how it ended says whether it was made. */
  forward(id: string, port: number): Promise<AttachedProgram>
  processes(id: string): Promise<readonly ContainerProcess[]>
  usage(id: string): Promise<ContainerUsage>
}
