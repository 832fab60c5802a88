// tsswarm config create
import { createCommand } from '../payload-commands.ts'

export const command = createCommand('config')
