// A serial line whose far end is a TCP server on the emulator's host: Renode connects and connects again, as QEMU's
// `-chardev socket,reconnect=` does, where Renode's own terminals wait for who comes.
//
//     emulation CreateHostLine "link" "127.0.0.1" 5020
//     connector Connect sysbus.usart2 link
//
// What the board sends while nobody is there is lost, as on a line that leads nowhere. And a console: what the board
// says is appended to a file, where Renode's own backend would begin a new one.
//
//     sysbus.usart1 AppendToHostFile "console.log"

using System;
using System.IO;
using System.Net.Sockets;
using System.Threading;

using Antmicro.Renode.Backends.Terminals;
using Antmicro.Renode.Core;
using Antmicro.Renode.Peripherals.UART;

namespace Carbonmeter.Renode
{
    public static class HostLineExtensions
    {
        public static void CreateHostLine(this Emulation emulation, string name, string host, int port)
        {
            emulation.ExternalsManager.AddExternal(new HostLine(host, port), name);
        }

        public static void AppendToHostFile(this IUART uart, string path)
        {
            uart.CharReceived += character =>
            {
                using(var file = new FileStream(path, FileMode.Append, FileAccess.Write, FileShare.ReadWrite))
                {
                    file.WriteByte(character);
                }
            };
        }
    }

    public sealed class HostLine : BackendTerminal, IDisposable
    {
        public HostLine(string host, int port)
        {
            this.host = host;
            this.port = port;
            thread = new Thread(ReceiveAlways) { IsBackground = true, Name = "line to port " + port };
            thread.Start();
        }

        public override void WriteChar(byte value)
        {
            var client = connected;
            if(client == null)
            {
                return;
            }
            try
            {
                client.GetStream().WriteByte(value);
            }
            catch(Exception error) when(IsOfTheLine(error))
            {
                // The receiving thread notices, and connects again.
                connected = null;
            }
        }

        public void Dispose()
        {
            isDisposed = true;
            var client = connected;
            if(client != null)
            {
                client.Close();
            }
            thread.Join();
        }

        private void ReceiveAlways()
        {
            while(!isDisposed)
            {
                try
                {
                    using(var client = new TcpClient(host, port) { NoDelay = true })
                    {
                        connected = client;
                        Receive(client.GetStream());
                    }
                }
                catch(Exception error) when(IsOfTheLine(error))
                {
                    // Nobody is there, or they went.
                }
                connected = null;
                Thread.Sleep(PauseMs);
            }
        }

        private void Receive(Stream stream)
        {
            var chunk = new byte[ChunkBytes];
            int count;
            while(!isDisposed && (count = stream.Read(chunk, 0, chunk.Length)) > 0)
            {
                for(var place = 0; place < count; place++)
                {
                    CallCharReceived(chunk[place]);
                }
            }
        }

        private static bool IsOfTheLine(Exception error)
        {
            return error is SocketException || error is IOException || error is ObjectDisposedException
                || error is InvalidOperationException;
        }

        private readonly string host;
        private readonly int port;
        private readonly Thread thread;
        private volatile TcpClient connected;
        private volatile bool isDisposed;

        private const int PauseMs = 100;
        private const int ChunkBytes = 4096;
    }
}
