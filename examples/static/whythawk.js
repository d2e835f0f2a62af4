// Shaped like the template's own files: api/core.ts, api/sockets.ts, stores/auth.ts and a page's component.
const { createApp, onBeforeUnmount, onMounted, ref } = Vue;

const apiCore = {
  wsurl: () => new URL("api/v1", location).href.replace("http", "ws"),
};

const apiSockets = {
  socketRequest() {
    return new WebSocketAsPromised(`${apiCore.wsurl()}/socket`, {
      packMessage: (data) => JSON.stringify(data),
      unpackMessage: (data) => JSON.parse(data),
    });
  },
};

const authStore = {
  authTokens: { token: "" },
  async refreshTokens() {
    const answer = await fetch("token", { method: "POST" });
    if (answer.ok) this.authTokens = await answer.json();
  },
};

const SessionPage = {
  template: "#session-page",
  setup() {
    let wsp = {};
    const streaming = ref(true);
    const entries = ref([]);
    const users = ref([]);
    const notice = ref("");

    onMounted(async () => {
      await authStore.refreshTokens();
      await initialiseSocket();
    });

    async function initialiseSocket() {
      if (!streaming.value) return; // the route was left meanwhile
      wsp = apiSockets.socketRequest();
      wsp.onClose.addListener(() => (streaming.value = false));
      wsp.onUnpackedMessage.addListener(watchResponseSocket);
      await wsp.open();
      // Deliberately sending a user token to authenticate the session
      wsp.sendPacked({ token: authStore.authTokens.token });
    }

    function closeSocket() {
      streaming.value = false;
      if (wsp.isOpened) wsp.close();
    }

    onBeforeUnmount(closeSocket);

    function watchResponseSocket(response) {
      // response: { state, data, error }
      switch (response.state) {
        case "initialised":
          // User session is authenticated and you can now launch the process
          sendSocketRequest("startThings", {});
          break;
        case "startThings":
          entries.value = response.data.entries;
          break;
        case "somethingHappened":
          entries.value.push(response.data);
          notice.value = "";
          break;
        case "somethingElse":
          users.value = response.data.users;
          break;
        case "error":
          notice.value = `Error: ${response.error}`;
          break;
      }
    }

    function sendSocketRequest(state, data) {
      wsp.sendPacked({ state, data });
    }

    function add({ target }) {
      sendSocketRequest("add", Object.fromEntries(new FormData(target)));
      target.text.value = "";
    }

    function save() {
      sendSocketRequest("save", {});
    }

    return { add, entries, notice, save, streaming, users };
  },
};

createApp({
  template: "#layout",
  components: { SessionPage },
  setup() {
    const route = ref(location.hash.slice(1) || "session");
    addEventListener("hashchange", () => (route.value = location.hash.slice(1)));
    return { route };
  },
}).mount("#app");
