// The process of the daemon: settings, checks, parts, signals. Everything it starts ends with it, containers excepted.
import { mkdirSync, readFileSync } from 'node:fs'
import { SwarmError } from '../../proto/errors.ts'
import { systemClock } from '../../proto/lib/clock.ts'
import { runCommand } from '../../proto/lib/command.ts'
import { childController, runAll } from '../../proto/lib/lifecycle.ts'
import { type AdjustableLogger, createLogger, type Logger } from '../../proto/lib/log.ts'
import { systemRandom } from '../../proto/lib/random.ts'
import { hostUnfit } from '../host/render-checks.ts'
import { checkHost } from '../host/requirements.ts'
import { claimHost } from './claim-host.ts'
import { composeManager } from './compose.ts'
import {
  type DaemonConfig,
  type DaemonFlags,
  loadDaemonConfig,
  loadDaemonSettings,
} from './config.ts'
import { Daemon } from './daemon.ts'
import { openEngine } from './engine.ts'
import { LiveSettings } from './live-settings.ts'
import { configText } from './print-config.ts'
import { answers, purgeHost } from './purge.ts'
import { reloadSettings } from './reload.ts'
import { takeServiceManager } from './service-manager.ts'
import { version } from './version.ts'

const stopMs = 20_000
const lingerMs = 1_000
/** A node that takes longer to come back is waited for by nobody who starts the unit: its socket answers. */
const startMs = 30_000

export interface DaemonInvocation {
  readonly flags: DaemonFlags
  readonly configFile: string | undefined
  readonly env: Readonly<Record<string, string | undefined>>
  /** Take everything off this host instead of serving. */
  readonly isPurge: boolean
  /** Of a purge. */
  readonly keepsVolumes: boolean
  /** Aborts when the process is told to end, at whatever moment of its start that is. */
  readonly signal: AbortSignal
  /** Say what the settings are instead of serving; given by what is to print them. */
  readonly print?: (text: string) => void
}

/** Runs until a signal or a failure; the exit code. Errors before it serves: HOST_UNFIT, INVALID_ARGUMENT, FAILED_PRECONDITION. */
export async function runDaemon(invocation: DaemonInvocation): Promise<number> {
  const { flags, env, configFile, print, signal } = invocation
  const settings = loadDaemonSettings(flags, env, configFile)
  if (print !== undefined) {
    print(configText(settings))
    return 0
  }
  const { config } = settings
  await requireFitHost()
  if (invocation.isPurge) {
    await purgeHost(config, { keepsVolumes: invocation.keepsVolumes })
    return 0
  }
  if (await answers(config.socket)) {
    throw new SwarmError(
      'FAILED_PRECONDITION',
      `another daemon serves ${config.socket} already: stop it before you start this one`,
    )
  }
  makeFolder(config.stateDir, 0o700, '--state-dir')
  makeFolder(config.runDir, 0o750, '--run-dir')
  await claimHost()
  const log = createLogger(config.logLevel, 'tsswarm')
  const live = new LiveSettings(config)
  reloadOnHangup(live, () => loadDaemonConfig(flags, env, configFile), log)
  return await serve(live, log, signal)
}

async function serve(live: LiveSettings, log: Logger, signal: AbortSignal): Promise<number> {
  const config = live.current()
  const manager = takeServiceManager(process.env, runCommand, log)
  const { controller, release } = childController(signal)
  endInTime(controller.signal, log)
  let failed = false
  const onFailure = (err: unknown): void => {
    log.fatal({ err }, 'the daemon ends: containers go on, start it again')
    failed = true
    controller.abort()
  }
  const clock = systemClock
  const random = systemRandom
  const engine = await openEngine({ config, live, clock, random, log })
  const base = { config, live, engine, clock, random, log, onFailure }
  const daemon = new Daemon({
    ...base,
    groupId: groupId(config.group, log),
    startManager: (start) => composeManager(base, start),
  })
  const healing = runAll(controller.signal, [{ name: 'engine', run: engine.run }]).catch(onFailure)
  const patience = clock.setTimer(startMs, () =>
    manager.ready('resuming its node').catch(onFailure),
  )
  await daemon.start().catch(onFailure)
  patience.cancel()
  if (!failed) {
    log.info({ version, socket: config.socket }, 'daemon ready')
    await manager.ready(`serves ${config.socket}`)
  }
  await untilAborted(controller.signal)
  await manager.stopping()
  await daemon.stop().catch((err: unknown) => {
    // A part that had failed before, as on a full disk: the rest is closed all the same, and nobody waits for the timer.
    log.warn({ err }, 'a part of the daemon failed at its end')
    failed = true
  })
  await healing
  await engine.close()
  release()
  log.info({}, 'daemon ended')
  return endSoon(failed ? 1 : 0)
}

/** The process ends by itself when nothing is left to be done; what was forgotten keeps it for a moment only. */
function endSoon(code: number): number {
  setTimeout(() => process.exit(code), lingerMs).unref()
  return code
}

/** Errors: INVALID_ARGUMENT naming flag, folder and reason. */
function makeFolder(folder: string, mode: number, flag: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode })
  } catch (err) {
    const why = err instanceof Error ? err.message : String(err)
    throw new SwarmError(
      'INVALID_ARGUMENT',
      `${flag} ${folder} cannot be used: ${why}. Name a folder, or one that can be made`,
      { cause: err },
    )
  }
}

async function requireFitHost(): Promise<void> {
  const unfit = hostUnfit(await checkHost())
  if (unfit !== undefined) throw unfit
}

function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}

/** Whatever hangs, in a start that is not over too, must not keep the process: all that matters is on disk. */
function endInTime(signal: AbortSignal, log: Logger): void {
  const end = (): void => {
    log.info({}, 'daemon ending')
    setTimeout(() => process.exit(1), stopMs).unref()
  }
  if (signal.aborted) end()
  else signal.addEventListener('abort', end, { once: true })
}

/** Also what a closed terminal sends, which is no reason to end. */
function reloadOnHangup(live: LiveSettings, load: () => DaemonConfig, log: AdjustableLogger): void {
  process.on('SIGHUP', () => live.replace(reloadSettings(live.current(), load, log)))
}

/** The group's number in /etc/group; 0 (root) with a warning when there is no such group. */
function groupId(name: string, log: Logger): number {
  for (const line of readFileSync('/etc/group', 'utf8').split('\n')) {
    const [group, , id] = line.split(':')
    if (group === name && id !== undefined) return Number(id)
  }
  log.warn(
    { group: name },
    'no such group: only root may use the socket; make it with `groupadd --system`',
  )
  return 0
}
